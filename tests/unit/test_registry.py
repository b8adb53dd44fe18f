"""Registration code in a real posggym tree."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import math
import py_compile
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import black
import posggym
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from posggym.agents.registration import PolicySpec, get_env_args_id
from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from messages import exactly
from pgpelib.utils.files import write_json
from posggym_es.models.processors import PROCESSORS, ProcessorSpec
from posggym_es.registration.posggym_trees import make_tree
from posggym_es.registration.registry_files import (
    MARK,
    RegistryError,
    agents_code,
    existing_ids,
    generated_specs,
    imported_env_modules,
    register,
)
from posggym_es.registration.source_text import Source
from posggym_es.registration.spec import AgentSpec, default_args_id
from posggym_es.registration.staging import StagingError, copy_package
from workspace import python_with_tree

RESCALE = ProcessorSpec("RescaleProcessor", {"min_val": -1.0, "max_val": 1.0})
DRIVING = "posggym/agents/continuous/driving_continuous/__init__.py"
INIT = "posggym/agents/__init__.py"


def make_spec(**changes) -> AgentSpec:
    fields = {
        "env_id": "DrivingContinuous-v0",
        "env_args": {"world": "7x7RoundAbout", "num_agents": 2},
        "env_type": "continuous",
        "env_name": "driving_continuous",
        "policy_name": "pgpe",
        "version": 0,
        "valid_agent_ids": None,
        "description": "A test",
        "obs_processor": RESCALE,
        "action_processor": ProcessorSpec("IdentityProcessor"),
    }
    return AgentSpec(**{**fields, **changes})


LANDER = make_spec(
    env_id="LunarLanderContinuous-v2",
    env_args=None,
    env_type="gymnasium",
    env_name="lunar_lander_continuous",
    valid_agent_ids=["0"],
)
UAV = make_spec(
    env_id="UAV-v0",
    env_args={"grid": 5},
    env_type="grid_world",
    env_name="uav",
    obs_processor=ProcessorSpec("FlattenProcessor"),
)
SPECS = [make_spec(), make_spec(policy_name="pgpe2", version=3), LANDER, UAV]
TIGER = make_spec(
    env_id="MultiAgentTiger-v0", env_args=None, env_type="classic", env_name="tiger"
)
REACHING = make_spec(
    env_id="CooperativeReaching-v0",
    env_args={"size": 5},
    env_type="grid_world",
    env_name="cooperative_reaching",
    description="",
    deterministic=False,
    obs_processor=ProcessorSpec("FlattenProcessor"),
)
# Of the arguments for which POSGGym registers agents, in its own folder.
WITH_POSGGYMS = make_spec(
    env_id="LevelBasedForaging-v3",
    env_args={"num_agents": 2, "size": 10, "static_layout": True},
    env_args_id="num_agents=2-static_layout=True",
    folder="two-agents",
    env_type="grid_world",
    env_name="level_based_foraging",
)
# Every kind: modules with and without policies of POSGGym's own, and with and without
# networks among them; new modules in known and new places.
ALL_KINDS = [*SPECS, TIGER, REACHING, WITH_POSGGYMS]


@pytest.fixture
def tree(tmp_path) -> Path:
    copy_package(Path(posggym.__file__).parent, tmp_path)
    return tmp_path


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*.py"))
    }


def folders(root: Path) -> set[str]:
    found = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_dir()}
    return {name for name in found if "__pycache__" not in name}


def registered(root: Path) -> dict[str, dict]:
    """Return the specs that a fresh process sees in a tree."""
    code = """
import json, posggym_gymnasium, posggym.agents as a
from posggym.config import AGENT_MODEL_DIR as d
def plain(s):
    k = dict(s.kwargs)
    path = k.pop("policy_file_path", None)
    return dict(
        env_args=repr(s.env_args), env_args_id=s.env_args_id, version=s.version,
        valid_agent_ids=s.valid_agent_ids, description=s.description,
        path=str(path.relative_to(d)) if path else None,
        kwargs={n: getattr(v, "__name__", v) for n, v in k.items()})
print(json.dumps({i: plain(s) for i, s in a.registry.items()}))
"""
    output = python_with_tree(root, code, PYTHONDONTWRITEBYTECODE="1")
    return json.loads(output.splitlines()[-1])


def specs_in(module: Path) -> dict[str, PolicySpec]:
    """Return what a module of a tree gives POSGGym to register."""
    return runpy.run_path(str(module))["policy_specs"]


@pytest.mark.slow
def test_registered_specs_are_what_was_asked_for(tree):
    before = registered(tree)
    register(tree, ALL_KINDS)
    after = registered(tree)
    assert set(after) - set(before) == {spec.id for spec in ALL_KINDS}
    assert {k: after[k] for k in before} == before
    for spec in ALL_KINDS:
        identity = spec.action_processor.name == "IdentityProcessor"
        assert after[spec.id] == {
            "env_args": repr(spec.env_args),
            "env_args_id": spec.env_args_id,
            "version": spec.version,
            "valid_agent_ids": spec.valid_agent_ids,
            "description": spec.description or None,
            "path": str(spec.asset),
            "kwargs": {
                "deterministic": spec.deterministic,
                "obs_processor_cls": spec.obs_processor.name,
                "obs_processor_config": spec.obs_processor.config or None,
                # As POSGGym writes actions that are taken as they are.
                "action_processor_cls": None
                if identity
                else spec.action_processor.name,
                "action_processor_config": spec.action_processor.config or None,
            },
        }
    # POSGGym alone cannot make Gymnasium's environments.
    assert existing_ids(tree) == set(after) - {LANDER.id}


def test_same_agents_same_bytes(tree):
    assert register(tree, ALL_KINDS)
    first = files(tree)
    assert register(tree, list(reversed(ALL_KINDS))) == []
    assert files(tree) == first
    assert sorted(generated_specs(tree), key=str) == sorted(ALL_KINDS, key=str)


@pytest.mark.slow
@given(
    st.lists(st.sampled_from(ALL_KINDS), unique_by=str),
    st.lists(st.sampled_from(ALL_KINDS), unique_by=str),
)
@settings(max_examples=30)
def test_what_was_registered_before_leaves_no_trace(first, second):
    with tempfile.TemporaryDirectory() as folder:
        tree, direct = Path(folder, "tree"), Path(folder, "direct")
        for root in (tree, direct):
            agents = root / "posggym/agents"
            shutil.copytree(
                Path(posggym.__file__).parent / "agents",
                agents,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        before, before_folders = files(tree), folders(tree)
        register(tree, first)
        register(tree, second)
        register(direct, second)
        assert files(tree) == files(direct)
        register(tree, [])
        assert files(tree) == before
        assert folders(tree) == before_folders


def test_registering_nothing_restores_every_byte(tree):
    before, before_folders = files(tree), folders(tree)
    register(tree, ALL_KINDS)
    assert files(tree) != before
    # As an import leaves them behind.
    for path in [tree / INIT, *tree.glob("posggym/agents/gymnasium/**/__init__.py")]:
        py_compile.compile(str(path))
    register(tree, [])
    assert files(tree) == before
    assert folders(tree) == before_folders


def test_agents_are_in_the_order_of_their_ids(tree):
    late = make_spec(env_args={"world": "7x7RoundAbout"}, policy_name="a")
    early = make_spec(env_args={"world": "14x14RoundAbout"}, policy_name="z")
    register(tree, [late, early])
    first = files(tree)
    text = first[DRIVING].decode()
    assert text.rindex(early.env_args_id) < text.rindex(late.env_args_id)
    register(tree, [early, late])
    assert files(tree) == first


def test_agents_that_differ_by_name_share_a_loop(tree):
    names = [f"pgpe_seed{seed}" for seed in (10, 9, 1)]
    register(tree, [make_spec(policy_name=name, description=name) for name in names])
    text = (tree / DRIVING).read_text()
    assert text.count(MARK) == 1
    assert sorted(names, key=text.index) == list(reversed(names))


def test_what_changed_is_listed_and_nothing_else(tree):
    driving, init = tree / DRIVING, tree / INIT
    uav = tree / "posggym/agents/grid_world/uav/__init__.py"
    lander = tree / "posggym/agents/gymnasium/lunar_lander_continuous/__init__.py"
    package = tree / "posggym/agents/gymnasium/__init__.py"
    added = register(tree, [make_spec(), LANDER, UAV])
    assert sorted(added) == sorted([driving, init, uav, lander, package])
    # Another agent for a module that is imported already.
    more = [make_spec(), make_spec(policy_name="pgpe2"), LANDER, UAV]
    assert register(tree, more) == [driving]
    assert b"pgpe2" in driving.read_bytes()
    assert register(tree, more) == []
    assert sorted(register(tree, [])) == sorted(added)


def test_names_that_are_imported_can_be_added_to(tree):
    path = tree / DRIVING
    path.write_text("from posggym.agents.somewhere import specs as policy_specs\n")
    register(tree, [make_spec()])
    assert MARK in path.read_text()
    path.write_text("from posggym.agents.somewhere import policy_specs as specs\n")
    with pytest.raises(RegistryError, match="has no `policy_specs` to add"):
        register(tree, [make_spec()])


def test_later_runs_replace_earlier_ones(tree):
    register(tree, SPECS)
    register(tree, [make_spec(description="Another")])
    specs = specs_in(tree / DRIVING)
    assert specs[SPECS[0].id].description == "Another"
    assert SPECS[1].id not in specs
    for spec in (LANDER, UAV):
        assert not (tree / spec.module.replace(".", "/")).exists()


def test_other_lines_are_left_alone(tree):
    original = (tree / DRIVING).read_text()
    register(tree, SPECS)
    mine = (tree / DRIVING).read_text() + "\n# a user's line after it\n"
    (tree / DRIVING).write_text("# a user's line before it\n" + mine)
    register(tree, [make_spec(policy_name="other")])
    register(tree, [])
    assert (tree / DRIVING).read_text() == (
        f"# a user's line before it\n{original}\n# a user's line after it\n"
    )


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_line_endings_and_final_newlines_survive(tree, ending):
    newline = ending or "\n"
    originals = {}
    for path in (tree / DRIVING, tree / INIT):
        text = path.read_text().rstrip("\n").replace("\n", newline) + ending
        originals[path] = text.encode()
        path.write_bytes(originals[path])
    register(tree, ALL_KINDS)
    for path, original in originals.items():
        content = path.read_bytes()
        assert content != original
        assert content.endswith(ending.encode())
        assert content.count(b"\n") == content.count(newline.encode())
    assert set(specs_in(tree / DRIVING)) >= {spec.id for spec in SPECS[:2]}
    register(tree, [])
    for path, original in originals.items():
        assert path.read_bytes() == original


@example(b"\r", "a")
@example(b"a\r\nb\n", "a")
@example(b"a\nb\r\n", "a")
@example(b"\xef\xbb\xbfa\r\n", "a")
@example(b"\xff", "a")
@given(st.binary(max_size=40), st.text("ab \n", max_size=10))
def test_sources_give_back_every_byte(content, appended):
    source = Source.of(content)
    assert source.encode() == content
    place = len(source.lines)
    longer = source.inserted(place, *appended.split("\n"))
    assert longer.removed(place, len(longer.lines)).encode() == content


@pytest.mark.slow
def test_trees_are_made_from_the_installed_posggym(tmp_path):
    assets, output = tmp_path / "assets", tmp_path / "tree"
    policy = assets / "posggym/assets/agents" / LANDER.asset
    policy.parent.mkdir(parents=True)
    policy.write_bytes(b"weights")
    (output / "posggym").mkdir(parents=True)
    (output / "posggym/from_an_earlier_run.py").touch()
    changed = make_tree([LANDER], assets, output)
    module = Path(LANDER.module.replace(".", "/")) / "__init__.py"
    assert changed == sorted([module.parent.parent / "__init__.py", module])
    assert (output / policy.relative_to(assets)).read_bytes() == b"weights"
    assert set(specs_in(output / module)) == {LANDER.id}
    assert not (output / "posggym/from_an_earlier_run.py").exists()
    assert (output / "posggym/config.py").is_file()
    # A tree can be made of another one, with other agents.
    again = tmp_path / "again"
    make_tree([make_spec()], None, again, output / "posggym")
    assert not (again / module).exists()
    assert make_spec().id in specs_in(again / DRIVING)


@pytest.mark.slow
def test_agents_of_earlier_runs_leave_nothing_behind_but_partners(tmp_path):
    assets = tmp_path / "assets"
    for spec in SPECS:
        policy = assets / "posggym/assets/agents" / spec.asset
        policy.parent.mkdir(parents=True, exist_ok=True)
        policy.write_bytes(spec.id.encode())
    make_tree(SPECS, assets, tmp_path / "earlier")
    earlier = tmp_path / "earlier" / "posggym"
    own = make_spec(policy_name="own")
    plain, with_partner = tmp_path / "plain", tmp_path / "with_partner"
    make_tree([own], None, plain, earlier)
    make_tree([own], None, with_partner, earlier, [LANDER.id, "Random-v0"])
    assert generated_specs(plain) == [own]
    assert generated_specs(with_partner) == [own, LANDER]
    assert {LANDER.id, own.id} <= set(registered(with_partner))
    models = Path("posggym/assets/agents")
    assert (with_partner / models / LANDER.asset).read_bytes() == LANDER.id.encode()
    for spec in SPECS:
        assert not (plain / models / spec.asset).exists()
        assert (spec == LANDER) == (with_partner / models / spec.asset).exists()
    # As from a posggym in which nothing was registered before.
    make_tree([own], None, tmp_path / "fresh")
    assert files(plain) == files(tmp_path / "fresh")
    # An agent that is registered anew is the new one.
    anew = make_spec(description="Trained again")
    make_tree([anew], None, tmp_path / "anew", earlier, [anew.id])
    assert generated_specs(tmp_path / "anew") == [anew]


def test_trees_with_policy_files_have_all_of_them(tmp_path):
    assets = tmp_path / "assets"
    assets.mkdir()
    file = assets / "posggym/assets/agents" / LANDER.asset
    message = f"{file}: no such file; it is the policy of {LANDER.id}"
    with pytest.raises(ValueError, match=exactly(message)):
        make_tree([LANDER], assets, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


@pytest.mark.slow
def test_posggyms_own_ids_stay_its_own(tmp_path):
    own = make_spec(
        env_id="Driving-v1",
        env_args=None,
        env_type="grid_world",
        env_name="driving",
        policy_name="A40Shortestpath",
    )
    with pytest.raises(RegistryError, match="register it as version 1$"):
        make_tree([own], None, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_modules_that_posggym_imports_are_not_registered_twice(tree):
    register(tree, [make_spec()])
    assert (tree / INIT).read_bytes() == (
        Path(posggym.__file__).parent / "agents/__init__.py"
    ).read_bytes()


@pytest.mark.parametrize(
    "line",
    [
        "from posggym.agents.grid_world import driving",
        "from posggym.agents.grid_world import (a, driving as b)",
        "from posggym.agents.grid_world.driving import policy_specs",
        "import posggym.agents.grid_world.driving as b",
        "from .grid_world import driving",
        "from .grid_world.driving import policy_specs as b",
        "from ..agents.grid_world import driving",
        "if x:\n    from posggym.agents.grid_world import driving",
        "import posggym.agents.grid_world.driving as b\nimport os",
        "import os\nimport posggym.agents.grid_world.driving as b",
    ],
)
def test_every_way_to_import_a_module_counts(line):
    found = imported_env_modules(ast.parse(line))
    assert "posggym.agents.grid_world.driving" in found
    assert "posggym.agents.grid_world.driving_gen" not in found


def test_a_later_version_is_registered_after_an_earlier_one(tree):
    register(tree, [make_spec(version=10), make_spec(version=9)])
    text = (tree / DRIVING).read_text()
    assert text.index("version=9,") < text.index("version=10,")


@pytest.mark.parametrize("text", [MARK, f"\n{MARK}\n", f'"""\n{MARK}\nfor', "{x}\\"])
def test_descriptions_may_hold_code(tree, text):
    original = files(tree)
    spec = make_spec(description=text)
    register(tree, [spec])
    assert register(tree, [spec]) == []
    assert generated_specs(tree) == [spec]
    register(tree, [])
    assert files(tree) == original


def test_posggyms_linters_accept_generated_files(tree):
    plain = [dataclasses.replace(spec, description="Short") for spec in ALL_KINDS]
    before = files(tree)
    register(tree, plain)
    after = files(tree)
    changed = [path for path in after if after[path] != before.get(path)]
    assert len(changed) == 8
    # The settings of POSGGym's pyproject.toml, and its formatter.
    options = ["--isolated", "--target-version=py38", "--extend-select=C4,SIM,TC"]
    options += ["--per-file-ignores=__init__.py:F401,__init__.py:E402"]
    result = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", *options, "--"]
        + [str(tree / path) for path in changed],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    for path in changed:
        text = after[path].decode()
        added = set(text.splitlines()) - set(before.get(path, b"").decode().split("\n"))
        assert max(map(len, added)) <= 88
        if path not in before:
            assert text == black.format_str(text, mode=black.Mode(line_length=88))


def test_new_modules_are_imported_and_registered_where_their_neighbours_are(tree):
    before = (tree / INIT).read_text().splitlines()
    register(tree, [TIGER, UAV])
    after = (tree / INIT).read_text().splitlines()
    added = [line for line in after if line not in before]
    assert "\n".join(added) == (
        "from posggym.agents.classic import (\n    tiger,\n"
        "    uav,\n"
        "# Uav\nfor policy_spec in uav.policy_specs.values():\n"
        "# Classic\n# -------\n"
        "# Tiger\nfor policy_spec in tiger.policy_specs.values():"
    )
    assert after[after.index("    uav,") - 1] == "    pursuit_evasion,"
    following = after[after.index("    tiger,") + 2]
    assert following == "from posggym.agents.continuous import ("


def test_changes_of_how_a_new_module_is_registered_are_named(tree):
    register(tree, [UAV])
    init = tree / INIT
    init.write_text(init.read_text().replace("in uav.policy_specs", "in uav.specs"))
    with pytest.raises(
        RegistryError, match="import or registration of posggym.agents.grid"
    ):
        register(tree, [])


texts = st.text(max_size=200)
# What folder names can have.
words = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\'"), max_size=20
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner) | st.tuples(inner, inner)
    ),
    max_leaves=6,
)


@pytest.mark.slow
@settings(max_examples=60)
@given(texts, st.dictionaries(st.sampled_from("abc"), values, min_size=1, max_size=2))
@example("  two  spaces,\ta tab\nand a line  " * 9, {"a": "x" * 240})
def test_any_text_and_value_comes_out_as_it_went_in(description, env_args):
    assume(len("-".join(f"{k}={v}" for k, v in env_args.items()).encode()) < 255)
    assume(not any(c in default_args_id(env_args) for c in "{}"))
    spec = make_spec(description=description, env_args=env_args)
    with tempfile.TemporaryDirectory() as root:
        path = Path(root, DRIVING)
        path.parent.mkdir(parents=True)
        path.write_text("policy_specs = {}\n")
        (Path(root) / INIT).write_text(
            "from posggym.agents.continuous import driving_continuous\n"
        )
        register(Path(root), [spec])
        (made,) = specs_in(path).values()
        assert generated_specs(Path(root)) == [spec]
    assert isinstance(made, PolicySpec)
    assert made.entry_point == PPOPolicy.load_from_path
    assert made.id == spec.id
    assert made.description == (description or None)
    assert repr(made.env_args) == repr(env_args)
    assert made.kwargs["obs_processor_config"] == RESCALE.config
    assert made.kwargs["obs_processor_cls"] is processors.RescaleProcessor


WORDS = st.lists(st.text("aé±\"'\\", max_size=12), max_size=60)


@pytest.mark.slow
@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=2))
@example(["long " * 60, 'It\'s "long" ' * 20])
@example(["a" * 200])
@example(["long " * 14])
def test_lines_are_as_posggyms_linter_wants_them(texts):
    """Descriptions are wrapped between words, and nothing else is split."""
    code = agents_code(
        [
            make_spec(policy_name=f"pgpe{seed}", description=text)
            for seed, text in enumerate(texts)
        ]
    )
    assert code.strip() == black.format_str(code, mode=black.Mode()).strip()
    for line in code.splitlines():
        literal = line.strip().removeprefix("description=").rstrip(",")
        assert len(line) <= 88 or len(ast.literal_eval(literal).split()) == 1, line


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (math.inf, "inf"),
        (math.nan, "nan"),
        (b"x", "b'x' of type bytes"),
        ([(1j,)], "1j of type complex"),
    ],
)
def test_values_without_code_are_refused(tree, value, shown):
    before = files(tree)
    spec = make_spec(env_args={"a": value})
    message = f"{spec.id}: {shown} cannot be written as an argument"
    with pytest.raises(RegistryError, match=exactly(message)):
        register(tree, [spec])
    assert files(tree) == before


def test_ids_are_registered_once(tree):
    with pytest.raises(StagingError, match="2 agents have the policy id"):
        register(tree, [make_spec(), make_spec(description="Another")])
    message = (
        f"{make_spec().id} is already the id of one of posggym's own agents; "
        "register it as version 1"
    )
    with pytest.raises(RegistryError, match=exactly(message)):
        register(tree, [make_spec()], taken=frozenset({make_spec().id}))


def test_other_folders_are_refused(tmp_path):
    message = f"{tmp_path / INIT} does not exist; {tmp_path} is not a posggym tree"
    with pytest.raises(RegistryError, match=exactly(message)):
        register(tmp_path, [make_spec()])


@pytest.mark.slow
def test_a_byte_order_mark_is_no_obstacle(tree):
    text = b"\xef\xbb\xbf" + (tree / INIT).read_bytes()
    (tree / INIT).write_bytes(text)
    register(tree, SPECS)
    assert (tree / INIT).read_bytes() != text
    assert set(registered(tree)) >= {spec.id for spec in SPECS}
    register(tree, [])
    assert (tree / INIT).read_bytes() == text


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        (INIT, "def (", r"is not valid Python \(.*, line 1\)\)$"),
        (DRIVING, "def (", r"is not valid Python \(.*, line 1\)\)$"),
        (DRIVING, "x = '\0'\n", r"is not valid Python \(.*null bytes\)$"),
        (
            DRIVING,
            "specs = {}\n",
            "has no `policy_specs` to add "
            "DrivingContinuous-v0/world=7x7RoundAbout-num_agents=2/pgpe-v0 to; "
            "set another env_type or env_name$",
        ),
    ],
)
def test_files_that_cannot_be_added_to_are_named(tree, path, text, message):
    (tree / path).write_text(text)
    before = files(tree)
    with pytest.raises(
        RegistryError, match=f"^{re.escape(str(tree / path))} {message}"
    ):
        register(tree, SPECS)
    assert files(tree) == before


def test_a_users_file_in_a_generated_package_is_kept(tree):
    register(tree, [UAV])
    mine = tree / "posggym/agents/grid_world/uav/heuristic.py"
    mine.write_text("x = 1\n")
    register(tree, [])
    assert mine.read_text() == "x = 1\n"
    assert not (mine.parent / "__init__.py").exists()


def test_trees_that_cannot_be_imported_are_named(tree):
    (tree / INIT).write_text("import nowhere_to_be_found\n")
    with pytest.raises(RegistryError) as error:
        existing_ids(tree)
    first, *_, last = str(error.value).splitlines()
    assert first == f"cannot import {tree}:"
    assert last == "ModuleNotFoundError: No module named 'nowhere_to_be_found'"


@pytest.mark.parametrize(
    "change",
    [
        ("version=3,", "version=4,"),
        ("env_id=", "env="),
        ("version=", "v="),
        ('"pgpe', '"own/pgpe'),
        ("nondeterministic=False", "nondeterministic=True"),
        ("    policy_specs[spec.id] = spec", "    policy_specs[spec.id] = None"),
        ("in [", "in list(["),
    ],
)
def test_changes_of_generated_code_are_refused(tree, change):
    register(tree, SPECS)
    path = tree / DRIVING
    before, mark, after = path.read_text().partition(MARK)
    changed = after.replace(*change)
    if change[1].endswith("(["):
        changed = changed.replace("\n]:", "\n]):")
    path.write_text(before + mark + changed)
    content = files(tree)
    message = (
        f"{path}: the code below {MARK!r} was edited; restore it, or remove "
        "that line to keep the code as your own, and commit the change"
    )
    for act in (generated_specs, lambda tree: register(tree, [make_spec()])):
        with pytest.raises(RegistryError, match=exactly(message)):
            act(tree)
    assert files(tree) == content


def test_a_loop_without_its_mark_is_its_owners(tree):
    register(tree, [make_spec()])
    path = tree / DRIVING
    mine = path.read_text().replace(f"{MARK}\n", "")
    path.write_text(mine)
    assert generated_specs(tree) == []
    register(tree, [])
    assert path.read_text() == mine


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{1,8}", fullmatch=True),
        st.integers() | st.booleans() | st.tuples(st.integers()) | st.floats(0, 1),
        min_size=1,
        max_size=4,
    )
)
def test_default_argument_ids_are_posggyms(env_args):
    assert make_spec(env_args=env_args).env_args_id == get_env_args_id(env_args)


def test_specs_survive_json():
    spec = make_spec(env_args={"obs_dim": (3, 1, (1,)), "grid": [1], "x": None})
    again = AgentSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.id == spec.id


def test_versions_have_files_of_their_own():
    first, second = make_spec(), make_spec(version=2)
    assert first.asset != second.asset
    assert first.asset.stem == second.asset.stem == "pgpe"


NAME = "[A-Za-z0-9][A-Za-z0-9_.-]*"
PART = "[a-z][a-z0-9_]*"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(
            (
                {"policy_name": name},
                f"policy_name must match {NAME}, not {name!r}",
            )
            for name in ("../evil", "a/b", "", "a b", "-x", "x\n", "..", "{x}")
        ),
        (
            {"policy_name": "x-v1"},
            "policy_name 'x-v1' ends like a version; set version instead",
        ),
        (
            {"env_name": ".."},
            f"environment name '..' is not allowed; it must match {PART}",
        ),
        (
            {"env_type": "a/b"},
            f"environment type 'a/b' is not allowed; it must match {PART}",
        ),
        (
            {"env_type": "class"},
            "environment type 'class' is not allowed: Python cannot import it",
        ),
        (
            {"env_name": "import"},
            "environment name 'import' is not allowed: Python cannot import it",
        ),
        (
            {"env_id": "no version"},
            r"environment id 'no version' is not allowed; it must match [\w-]+-v\d+",
        ),
        *(
            (
                {"env_args": {"a": value}},
                f"env_args give the id 'a={value}', which cannot be a folder name; "
                "use values without spaces, slashes, backslashes or braces",
            )
            for value in ("../..", "x/y", "{x}")
        ),
        (
            {"folder": ".."},
            "env_args give the id '..', which cannot be a folder name; "
            "use values without spaces, slashes, backslashes or braces",
        ),
        (
            {"env_args": None, "env_args_id": "x"},
            "env_args_id 'x' needs env_args that it stands for",
        ),
        (
            {"policy_name": "x" * 252},
            f"'{'x' * 252}.pkl' is too long for a file name: 256 bytes, at most 255; "
            "use a shorter policy_name or shorter env_args",
        ),
        (
            {"env_args": {"a": "ü" * 127}},
            f"'a={'ü' * 127}' is too long for a file name: 256 bytes, at most 255; "
            "use a shorter policy_name or shorter env_args",
        ),
        ({"version": -1}, "version must be at least 0, not -1"),
        ({"valid_agent_ids": []}, "valid_agent_ids must not be empty"),
        ({"version": 1.0}, "version must be an integer, not 1.0"),
        ({"env_id": 3}, "env_id must be a string, not 3"),
        ({"description": None}, "description must be a string, not None"),
    ],
)
def test_names_that_leave_their_place_are_refused(changes, message):
    with pytest.raises(ValueError, match=exactly(message)):
        make_spec(**changes)


def test_unknown_processors_are_refused():
    message = (
        "name must be 'IdentityProcessor', 'FlattenProcessor' or 'RescaleProcessor', "
        "not 'Rescale'; did you mean 'RescaleProcessor'?"
    )
    with pytest.raises(ValueError, match=exactly(message)):
        ProcessorSpec("Rescale")


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        (
            "RescaleProcessor",
            {"min": 0},
            "RescaleProcessor: unknown key 'min'; did you mean 'min_val'?",
        ),
        ("IdentityProcessor", {"x": 0}, "unknown key 'x'; known keys are none"),
        (
            "RescaleProcessor",
            {"min_val": "a"},
            "must be a finite number, not 'a'",
        ),
        (
            "RescaleProcessor",
            {"max_val": float("inf")},
            "must be a finite number, not inf",
        ),
        ("RescaleProcessor", {"clip": 1}, "clip must be true or false, not 1"),
        ("RescaleProcessor", {"max_val": -1}, "min_val -1.0 must be less than"),
        ("RescaleProcessor", 3, "config must be a mapping, not 3"),
    ],
)
def test_arguments_that_processors_do_not_have_are_refused(name, config, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ProcessorSpec(name, config)


def test_processors_have_the_arguments_that_posggyms_have():
    for name, arguments in PROCESSORS.items():
        own = inspect.signature(getattr(processors, name).__init__).parameters
        assert set(arguments) == set(own) - {"self", "input_space"}


def test_files_of_agents_come_back(tmp_path):
    spec = make_spec(env_args={"size": (3, 1), "kinds": [1, 2], "goal": None})
    path = tmp_path / "spec.json"
    write_json(path, spec.to_json())
    assert AgentSpec.read(path) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("policy_name"), "missing required key 'policy_name'"),
        (lambda d: d.update(nam="x"), "unknown key 'nam'"),
        (lambda d: d.update(version="1"), "version must be an integer, not '1'"),
        (
            lambda d: d.update(env_args=[1]),
            "env_args must be a mapping or null",
        ),
        (
            lambda d: d["obs_processor"].pop("name"),
            "obs_processor: missing required key 'name'",
        ),
        (
            lambda d: d["action_processor"].update(config={"mean": 0}),
            "IdentityProcessor: unknown key 'mean'",
        ),
        (lambda d: d.update(policy_name="../x"), "policy_name must match"),
    ],
)
def test_damaged_files_of_agents_are_named(tmp_path, change, message):
    path = tmp_path / "spec.json"
    data = make_spec(action_processor=ProcessorSpec("IdentityProcessor")).to_json()
    change(data)
    write_json(path, data)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        AgentSpec.read(path)
    assert str(caught.value).startswith(f"{path}: not the spec of an agent: ")


@pytest.mark.parametrize("data", [None, [], 3, "x", {"agents": []}])
def test_other_json_describes_no_agent(tmp_path, data):
    path = tmp_path / "other.json"
    write_json(path, data)
    with pytest.raises(
        ValueError, match=re.escape(f"{path}: not the spec of an agent")
    ):
        AgentSpec.read(path)
