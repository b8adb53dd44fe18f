"""Specs of agents from their policies, and their places in repositories."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from checkpoints import save_checkpoint
from made_policies import random_policy
from messages import exactly
from pgpelib.policies.metadata import PolicyMetadata, Reference
from posggym_es.models.processors import ProcessorSpec
from posggym_es.policies.policy_file import (
    METADATA_FILE,
    TENSORS_FILE,
    read_policy,
    write_policy,
)
from posggym_es.registration.registry_files import agents_code
from posggym_es.registration.spec import AgentSpec
from posggym_es.registration.spec_making import agent_spec, describe, describe_partners
from posggym_es.registration.staging import (
    StagingError,
    copy_package,
    stage_assets,
    stage_models,
)
from posggym_es.sources.ppo_checkpoints import load_checkpoint
from posggym_es.utils.return_statistics import (
    format_return,
    mean_interval,
    welch_margin,
)

IDENTITY = ProcessorSpec("IdentityProcessor")
RESCALE = ProcessorSpec("RescaleProcessor", {"min_val": -1.0, "max_val": 1.0})
TRAINED = PolicyMetadata(
    config={"optimizer": "clipup"},
    timesteps=1234567,
    reference=Reference([10.0, 12.0, 14.0], [0, 1, 2]),
    seed=3,
    commit="abc1234",
)


def trained(**changes):
    return dataclasses.replace(
        random_policy(), metadata=dataclasses.replace(TRAINED, **changes)
    )


def test_specs_come_from_the_environment_and_the_settings():
    spec = agent_spec(trained(), RESCALE, IDENTITY, {"policy_name": "pgpe"})
    assert spec == AgentSpec(
        env_id="Walker2d-v4",
        env_args={"reset_noise_scale": 0.0},
        env_type="gymnasium",
        env_name="walker2d",
        policy_name="pgpe",
        version=0,
        valid_agent_ids=None,
        description=describe(trained(), None),
        obs_processor=RESCALE,
        action_processor=IDENTITY,
    )


def test_settings_that_do_not_exist_are_named():
    settings = {"policy_name": "pgpe", "verison": 1}
    with pytest.raises(
        ValueError, match="unknown key 'verison'; did you mean 'version"
    ):
        agent_spec(trained(), RESCALE, IDENTITY, settings)


@pytest.mark.parametrize("settings", [["pgpe"], {"policy_name": "x", "description": 3}])
def test_settings_of_another_type_are_named(settings):
    with pytest.raises(ValueError, match=r"must be a (mapping|string)"):
        agent_spec(trained(), RESCALE, IDENTITY, settings)


def test_settings_go_before_what_is_derived():
    settings = {
        "policy_name": "other",
        "version": 4,
        "valid_agent_ids": ["0"],
        "env_name": "walker",
        "description": "Mine",
    }
    spec = agent_spec(trained(), RESCALE, IDENTITY, settings)
    assert {name: getattr(spec, name) for name in settings} == {
        **settings,
        "description": describe(trained(), "Mine"),
    }


@pytest.mark.parametrize(
    ("changes", "text", "expected"),
    [
        (
            {},
            None,
            "PGPE with ClipUp, 1,234,567 steps, mean return 12.0 ± 4.97 (95 %), "
            "seed 3, posggym-es commit abc1234.",
        ),
        (
            {"config": {"optimizer": "adam"}, "commit": None},
            "X Walks..",
            "X Walks. PGPE with Adam, 1,234,567 steps, mean return 12.0 ± 4.97 (95 %), "
            "seed 3.",
        ),
        (
            {"config": None, "algorithm": "PPO"},
            "drives",
            "Drives. PPO, 1,234,567 steps, mean return 12.0 ± 4.97 (95 %).",
        ),
        (
            {"config": None, "timesteps": None, "reference": Reference([0.5], [0])},
            None,
            "Mean return 0.50 ± 0.00 (95 %).",
        ),
    ],
)
def test_descriptions_say_what_how_and_how_well(changes, text, expected):
    assert describe(trained(**changes), text) == expected


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({}, "in self-play"),
        (
            {"role": "0", "partners": ["Random-v0"]},
            "with Random-v0",
        ),
        (
            {"config": {"partners": ["Driving-v1/A40-v0", "Driving-v1/x=1/A100-v0"]}},
            "with A40-v0 and A100-v0",
        ),
        ({"partners": [f"Driving-v1/A{i}-v0" for i in range(4)]}, "with 4 policies"),
        ({"role": "1"}, "with the policies trained for the other agents"),
    ],
)
def test_descriptions_say_with_whom_the_return_was_played(known, text):
    policy = dataclasses.replace(
        random_policy(), env_name="posggym:Driving-v1", metadata=PolicyMetadata(**known)
    )
    assert describe_partners(policy) == text


def test_policies_of_the_baselines_are_registered_as_stochastic(tmp_path):
    save_checkpoint(tmp_path)
    policy = load_checkpoint(tmp_path / "checkpoint_1_P0.pt")
    reference = Reference([1.0, 1.0], [0, 1])
    metadata = dataclasses.replace(policy.metadata, reference=reference)
    policy = dataclasses.replace(policy, metadata=metadata)
    spec = agent_spec(policy, IDENTITY, IDENTITY, {"policy_name": "ppo"})
    assert not spec.deterministic
    assert spec.description.endswith("mean return 1.00 ± 0.00 (95 %) in self-play.")
    code = agents_code([spec])
    assert "deterministic=False" in code
    assert "deterministic=True" not in code
    assert AgentSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (9.994, "9.99"),
        (10, "10.0"),
        (-10, "-10.0"),
        (-9.5, "-9.50"),
        (4853.26, "4853.3"),
        (-0.0, "0.00"),
        (-0.004, "0.00"),
        (-0.006, "-0.01"),
    ],
)
def test_returns_are_shown_to_the_digits_that_matter(value, text):
    assert format_return(value) == text


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_are_students(confidence):
    values = [3.0, 4.0, 8.0, 9.5]
    low, high = stats.t.interval(
        confidence, 3, loc=np.mean(values), scale=stats.sem(values)
    )
    mean, margin = mean_interval(values, confidence)
    assert (mean - margin, mean + margin) == pytest.approx((low, high))
    assert mean_interval(values) == mean_interval(values, 0.95)
    assert mean_interval([4.0, 8.0])[1] == pytest.approx(2 * 12.7062, rel=1e-5)


def test_intervals_of_differences_are_welchs():
    a, b = [3.0, 4.0, 8.0, 9.5], [1.0, 1.5, 1.25]
    for confidence in (0.8, 0.999):
        test = stats.ttest_ind(a, b, equal_var=False)
        low, high = test.confidence_interval(confidence)
        expected = pytest.approx((high - low) / 2)
        assert welch_margin(a, b, confidence) == expected
    assert welch_margin([1.0, 1.0], [2.0, 2.0], 0.95) == 0.0
    assert welch_margin([1.0], [2.0, 3.0], 0.95) == 0.0


def named(policy_name="pgpe", **changes) -> AgentSpec:
    return agent_spec(
        trained(), RESCALE, IDENTITY, {"policy_name": policy_name, **changes}
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "any.pkl"
    path.write_bytes(b"weights")
    return path


@pytest.mark.parametrize(
    ("stage", "place"),
    [(stage_models, "posggym/agents"), (stage_assets, "posggym/assets/agents")],
)
def test_files_are_staged_where_posggym_looks(tmp_path, file, stage, place):
    agents = [(named(), file), (named(version=1), file)]
    folder = tmp_path / "tree" / place / "gymnasium/walker2d/reset_noise_scale=0.0"
    assert stage(agents, tmp_path / "tree") == [
        folder / "pgpe.pkl",
        folder / "v1" / "pgpe.pkl",
    ]
    assert (folder / "v1" / "pgpe.pkl").read_bytes() == b"weights"


def test_places_are_taken_once(tmp_path, file):
    message = (
        "2 agents have the policy id Walker2d-v4/reset_noise_scale=0.0/pgpe-v0; "
        "give them different policy names or versions"
    )
    with pytest.raises(StagingError, match=exactly(message)):
        stage_models([(named(), file), (named(), file)], tmp_path / "tree")
    other = dataclasses.replace(named(), env_id="Walker2d-v5")
    message = (
        "2 agents have the policy file "
        "gymnasium/walker2d/reset_noise_scale=0.0/pgpe.pkl; "
        "give them different policy names or versions"
    )
    with pytest.raises(StagingError, match=exactly(message)):
        stage_models([(named(), file), (other, file)], tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_copies_of_packages_share_models_and_nothing_else(tmp_path):
    package = tmp_path / "installed"
    (package / "__pycache__").mkdir(parents=True)
    for name in ("code.py", "model.pkl", "__pycache__/code.pyc"):
        (package / name).write_text(name)
    copy_package(package, tmp_path / "tree")
    copied = tmp_path / "tree" / "posggym"
    assert sorted(path.name for path in copied.iterdir()) == ["code.py", "model.pkl"]
    assert (copied / "model.pkl").samefile(package / "model.pkl")
    assert not (copied / "code.py").samefile(package / "code.py")


def test_models_are_copied_where_links_do_not_reach(tmp_path):
    package = tmp_path / "installed"
    package.mkdir()
    (package / "model.pkl").write_bytes(b"weights")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        if Path(folder).stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("no second file system")
        copy_package(package, Path(folder))
        assert (Path(folder) / "posggym" / "model.pkl").read_bytes() == b"weights"


@pytest.mark.parametrize("name", [METADATA_FILE, TENSORS_FILE])
def test_missing_parts_of_extracted_policies_are_named(tmp_path, name):
    write_policy(random_policy(), tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ValueError, match=f"{name}: no such file$"):
        read_policy(tmp_path)


def changed_metadata(folder, **changes):
    path = folder / METADATA_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "not a posggym-es-policy file"),
        (
            {"version": 2},
            "version 2 of the format; this program reads version 1",
        ),
        ({"action": {"n": None}}, "incomplete or damaged: 'kind'"),
        ({"activation": "gelu"}, "unknown activation 'gelu'"),
        ({"num_layers": 3}, "incomplete or damaged: 'layers.2.weight'"),
    ],
)
def test_other_metadata_is_refused_with_the_reason(tmp_path, changes, message):
    write_policy(random_policy(), tmp_path)
    path = changed_metadata(tmp_path, **changes)
    with pytest.raises(ValueError, match=exactly(f"{path}: {message}")):
        read_policy(tmp_path)


def test_metadata_that_is_no_object_is_refused(tmp_path):
    write_policy(random_policy(), tmp_path)
    (tmp_path / METADATA_FILE).write_text("[]")
    with pytest.raises(ValueError, match="not a posggym-es-policy file"):
        read_policy(tmp_path)


def test_tensors_of_another_policy_are_refused(tmp_path):
    write_policy(random_policy(seed=0), tmp_path / "a")
    write_policy(random_policy(seed=1), tmp_path / "b")
    data = (tmp_path / "b" / TENSORS_FILE).read_bytes()
    path = tmp_path / "a" / TENSORS_FILE
    path.write_bytes(data)
    message = f"{path}: its SHA-256 is not the one in policy.json"
    with pytest.raises(ValueError, match=exactly(message)):
        read_policy(tmp_path / "a")


@pytest.mark.parametrize("lstm", [{}, {"lstm_size": 4, "head": (2,)}])
@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize("obs_norm", [True, False])
def test_extracted_policies_keep_everything(tmp_path, lstm, discrete, obs_norm):
    policy = dataclasses.replace(
        random_policy(discrete=discrete, obs_norm=obs_norm, activation="relu", **lstm),
        obs_processor=("RescaleProcessor", {"min_val": -1.0}),
        action_processor=("FlattenProcessor", {"x": 1}),
    )
    write_policy(policy, tmp_path)
    again = read_policy(tmp_path)
    names = [field.name for field in dataclasses.fields(policy)]
    for name in set(names) - {"layers", "action"}:
        assert np.array_equal(getattr(again, name), getattr(policy, name)), name
    assert vars(again.action).keys() == vars(policy.action).keys()
    for name, value in vars(policy.action).items():
        assert np.array_equal(getattr(again.action, name), value), name
    for layer, same in zip(policy.layers, again.layers, strict=True):
        assert type(layer) is type(same)
        assert all(map(np.array_equal, layer, same))
    write_policy(again, tmp_path / "again")
    for name in (METADATA_FILE, TENSORS_FILE):
        assert (tmp_path / "again" / name).read_bytes() == (
            tmp_path / name
        ).read_bytes()
