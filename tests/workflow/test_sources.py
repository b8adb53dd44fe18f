"""Checkpoints of other libraries go through the whole chain."""

from __future__ import annotations

import json
import shutil

import pytest

from workspace import Workspace

pytestmark = pytest.mark.slow


def test_agents_of_other_libraries_are_registered_and_play(root, tmp_path):
    data = root / "tests" / "data" / "sources"
    shutil.copytree(data / "sb3" / "normalized_sac", tmp_path / "sac")
    (tmp_path / "sac" / "agent.yaml").write_text("env_name: Pendulum-v1\n")
    cartpole = {"env_name": "CartPole-v1"}
    experiments = {
        "sb3": {
            "checkpoint": str(data / "sb3" / "recurrent_cartpole.zip"),
            "agent": cartpole,
            "register": {"policy_name": "sb3_{policy_id}"},
        },
        "normalized": {"checkpoint_dir": "sac", "register": {"policy_name": "sac"}},
        "cleanrl": {
            "checkpoint": str(data / "cleanrl" / "ppo.cleanrl_model"),
            "source": "cleanrl",
            "agent": {**cartpole, "deterministic": True},
            "register": {"policy_name": "cleanrl"},
        },
    }
    for experiment in experiments.values():
        experiment["verify_episodes"] = 4
    config = {"experiments": experiments, "films": False}
    workspace = Workspace(root, tmp_path, config)
    workspace.succeed(*(f"results/{name}" for name in experiments))
    found = {}
    for path in (tmp_path / "results").glob("*/*/verification.json"):
        verification = json.loads(path.read_text())
        assert verification["passed"]
        found[verification["policy_id"]] = verification["mean_return"]
    assert set(found) == {
        "CartPole-v1/sb3_recurrent_cartpole-v0",
        "Pendulum-v1/sac-v0",
        "CartPole-v1/cleanrl-v0",
    }
    spec = json.loads(
        (tmp_path / "results/sb3/recurrent_cartpole/spec.json").read_text()
    )
    assert spec["description"].startswith("RecurrentPPO, 320 steps, mean return")
