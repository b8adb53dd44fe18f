"""Policies from files are played only where they may be, and where they fit."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import pytest

from foreign_files import small_policy
from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.saving import save_policy
from posggym_es.chain import extract, register
from posggym_es.config.experiments import Experiments
from posggym_es.config.workflow_config import read_config
from posggym_es.conversion.folders import convert_folder
from posggym_es.policies.policy_checks import check_modules
from posggym_es.policies.policy_file import write_policy

MODULE = """
import os
from pathlib import Path
import gymnasium
(Path(__file__).parent / "imported").touch()
entry_point = "gymnasium.envs.classic_control:CartPoleEnv"
gymnasium.register(id="Mine-v0", entry_point=entry_point)
"""


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    """A folder that a module lies in, and the marker of its import."""
    (tmp_path / "module_of_somebody.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path, tmp_path / "imported"
    sys.modules.pop("module_of_somebody", None)


@pytest.mark.parametrize("note", [False, True])
def test_a_policy_file_imports_no_module(foreign, note):
    folder, imported = foreign
    name = "module_of_somebody:Mine-v0"
    policy = small_policy()
    policy = (
        dataclasses.replace(policy, metadata=PolicyMetadata(re_eval_env_name=name))
        if note
        else dataclasses.replace(policy, env_name=name)
    )
    file = folder / "policy.pickle"
    save_policy(policy, file)
    write_policy(policy, folder / "extracted")
    for use in (
        lambda: extract(file, folder / "out", episodes=1),
        lambda: convert_folder(file, folder / "out"),
        lambda: convert_folder(folder / "extracted", folder / "out"),
        lambda: register(folder / "extracted", folder, folder / "out"),
    ):
        with pytest.raises(ValueError, match="would import the module module_of_some"):
            use()
    assert not imported.exists()
    assert not (folder / "out").exists()
    check_modules(policy, ["module_of_somebody"])


@pytest.mark.parametrize(
    "name",
    [
        "Walker2d-v4",
        "pybullet_envs:HumanoidBulletEnv-v0",
        "tinytraj_humanoid_bullet:TinyTrajHumanoidBulletEnv-v0",
        "posggym:Driving-v1",
    ],
)
def test_known_modules_need_no_permission(name):
    check_modules(dataclasses.replace(small_policy(), env_name=name))


@pytest.mark.slow
def test_the_command_line_names_modules(root, foreign):
    folder, imported = foreign
    policy = dataclasses.replace(
        small_policy(), env_name="module_of_somebody:Mine-v0", metadata=PolicyMetadata()
    )
    save_policy(policy, folder / "policy.pickle")
    script = root / "workflow/scripts/save_to_posggym_format.py"
    command = [sys.executable, script, "--checkpoint_dir", folder / "policy.pickle"]
    command += ["--output_dir", folder / "out"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    for extra, reason in (
        ([], "would import the module module_of_somebody"),
        # The user's word: it is imported, and its environment is another one.
        (
            ["--env_module", "module_of_somebody"],
            "needs 4 numbers and 2 outputs (discrete)",
        ),
    ):
        result = subprocess.run(
            [*command, *extra], capture_output=True, text=True, env=environment
        )
        assert result.returncode == 1
        (line,) = result.stderr.strip().splitlines()
        assert reason in line
        assert imported.exists() == bool(extra)


def test_the_config_names_modules():
    register = {"policy_name": "pgpe"}
    config = read_config(
        {
            "experiments": {
                "a": {
                    "train": {
                        "env_name": "mine.envs:A-v0",
                        "re_eval_env_name": "other:B-v0",
                    },
                    "register": register,
                },
                "b": {
                    "policy_file": "x.pickle",
                    "env_modules": ["mine"],
                    "register": register,
                },
                "c": {
                    "train": {"env_name": "posggym:Driving-v1"},
                    "register": register,
                },
            }
        }
    )
    experiments = Experiments(config)
    assert experiments["a"].env_modules == ["mine.envs", "other"]
    assert experiments["b"].env_modules == ["mine"]
    assert experiments["c"].env_modules == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"env_name": "Humanoid-v4"},
            "17 numbers to 6 outputs .* 376 numbers and 17",
        ),
        ({"env_name": "CartPole-v1"}, r"needs 4 numbers and 2 outputs \(discrete\)"),
        (
            {"metadata": PolicyMetadata(role="7")},
            "plays the agent '7', but Walker2d-v4 has 0",
        ),
        (
            {"obs_processor": ("RescaleProcessor", {"surprise": 1})},
            "RescaleProcessor",
        ),
    ],
)
def test_policies_of_other_sizes_are_refused(tmp_path, changes, message):
    policy = dataclasses.replace(
        small_policy(), **{"metadata": PolicyMetadata(), **changes}
    )
    file = tmp_path / "policy.pickle"
    save_policy(policy, file)
    write_policy(policy, tmp_path / "extracted")
    for use in (
        lambda: extract(file, tmp_path / "out", episodes=1),
        lambda: convert_folder(tmp_path / "extracted", tmp_path / "out"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            use()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
