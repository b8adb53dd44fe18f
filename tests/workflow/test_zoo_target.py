"""The target that collects agents for the repository, and the one that checks them."""

from __future__ import annotations

import shutil

import pytest
import yaml

from hosts import git, serving_folder
from pgpelib.utils.files import read_json
from posggym_es.agents.folders import agent_folders
from workspace import ONE_EXPERIMENT, Workspace

MEMBER = "zoo/CooperativeReaching-v0/reaching"
COLLECT = ("zoo", "--config", "only=reaching")
AGENT = "CooperativeReaching-v0/size=5/pgpe_sp-v0"
SETTINGS = {**ONE_EXPERIMENT, "crossplay": {"episodes": 2}}


@pytest.fixture(scope="module")
def collected(root, alone, tmp_path_factory) -> Workspace:
    """A workspace whose agents are in the zoo."""
    folder = tmp_path_factory.mktemp("collected") / "workspace"
    shutil.copytree(alone.folder, folder, symlinks=True)
    workspace = Workspace(root, folder, SETTINGS)
    (folder / "docs").mkdir(exist_ok=True)
    output = workspace.succeed(*COLLECT)
    assert "rule train" not in output
    return workspace


@pytest.fixture
def workspace(root, collected, tmp_path) -> Workspace:
    """A copy of it, as a new clone: with the zoo, but without runs and results."""
    for name in ("zoo", "docs"):
        shutil.copytree(collected.folder / name, tmp_path / name)
    return Workspace(root, tmp_path, SETTINGS)


def test_finished_agents_are_collected_with_their_page(collected):
    (folder,) = agent_folders(collected.folder / "zoo")
    assert folder == collected.folder / MEMBER / "seed0"
    page = (collected.folder / "docs/zoo.md").read_text()
    beginning, _, name = AGENT.rpartition("/")
    assert f"ids begin with `{beginning}/`" in page
    assert f"[`{name}`](../{MEMBER}/seed0)" in page
    code = "import posggym_es\nprint(posggym_es.register_agents('zoo'))"
    printed = collected.python(".", code)
    assert printed == str([AGENT])


def test_they_are_compared_with_posggyms_own(collected):
    (file,) = (collected.folder / "zoo").glob("*/payoffs/*.json")
    report = read_json(file)
    own = {name for name, digest in report["policies"].items() if digest is None}
    assert report["policies"].keys() - own == {AGENT}
    assert "CooperativeReaching-v0/H1-v0" in own
    rows = {(pair["row"], pair["column"]) for pair in report["payoffs"]}
    assert rows == {(a, b) for a in report["policies"] for b in report["policies"]}
    page = (collected.folder / "docs/zoo.md").read_text()
    assert "| `H1-v0` | POSGGym | " in page
    # The same agents are not played again.
    before = file.stat().st_mtime_ns
    collected.succeed(*COLLECT)
    assert file.stat().st_mtime_ns == before


def test_what_the_zoo_has_is_not_trained_again(workspace):
    assert "train" not in workspace.succeed(*COLLECT, "-n")


def test_what_the_zoo_lacks_is_trained(workspace):
    config = yaml.safe_load((workspace.folder / "config/config.yaml").read_text())
    config["experiments"]["reaching"]["train"]["niters"] = 3
    workspace.write(config)
    assert "rule train" in workspace.succeed(*COLLECT, "-n")
    shutil.rmtree(workspace.folder / MEMBER)
    workspace.write(SETTINGS)
    assert "rule train" in workspace.succeed(*COLLECT, "-n")


def test_the_zoo_is_published_from_its_files(root, workspace, hosts):
    # Agents of Gymnasium tasks are not for POSGGym's repositories.
    shutil.copytree(root / "zoo/Walker2d-v4", workspace.folder / "zoo/Walker2d-v4")
    clones = workspace.folder / "runs/full/repositories"
    workspace.write(
        SETTINGS
        | {"posggym_repo": f"file://{hosts}/posggym"}
        | {"agent_models_repo": f"file://{hosts}/models"}
    )
    with serving_folder(clones / "agent-models") as url:
        output = workspace.succeed("publish_zoo", "--config", f"agent_models_url={url}")
    assert f"published, downloaded and played: {AGENT}" in output
    assert "rule train" not in output
    for name in ("posggym", "models"):
        assert f"Add policy {AGENT}" in git(hosts / name, "log", "-1", "posggym-es")
        assert "Walker2d" not in git(hosts / name, "ls-tree", "-r", "posggym-es")


def test_the_check_needs_only_the_zoo(workspace):
    assert "1 agents are reproduced exactly" in workspace.succeed("zoo_check")
    file = workspace.folder / MEMBER / "seed0/extracted/policy.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    result = workspace.snakemake("zoo_check")
    assert result.returncode != 0
    assert (
        f"{file.name}: its SHA-256 is not the one in" in result.stdout + result.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("zoo",), "zoo: name its experiments: --configfile config/zoo.yaml"),
        (
            ("zoo", "--config", "only=reaching", "scale=smoke"),
            "zoo: scale smoke is a rehearsal",
        ),
    ],
)
def test_the_zoo_is_for_chosen_agents_at_full_scale(workspace, arguments, message):
    workspace.write({**SETTINGS, "scales": {"smoke": {"niters": 1}}})
    result = workspace.snakemake(*arguments, "-n")
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
