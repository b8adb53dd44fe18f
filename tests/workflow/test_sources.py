"""Checkpoints of other libraries go through the whole chain."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import posggym
import pytest
import torch
import yaml
from torch import nn

from posggym_es.config.experiments import Experiments
from posggym_es.config.workflow_config import read_config
from workspace import Workspace

pytestmark = pytest.mark.slow

CARTPOLE = {"env_name": "CartPole-v1"}
# Between the environment and an agent that was trained through wrappers.
PROCESSORS = {
    "obs_processor": {"name": "RescaleProcessor", "config": {"clip": True}},
    "action_processor": {
        "name": "RescaleProcessor",
        "config": {"min_val": 0.0, "max_val": 1.0},
    },
}


def save_driver(path) -> None:
    """Write a module for DrivingContinuous-v0, and the names of its layers."""
    env = posggym.make("DrivingContinuous-v0")
    inputs = env.observation_spaces["0"].shape[0]
    torch.manual_seed(0)
    module = nn.ModuleDict({"body": nn.Linear(inputs, 6), "pi": nn.Linear(6, 2)})
    torch.save(module.state_dict(), path)
    described = {
        "env_name": "posggym:DrivingContinuous-v0",
        "layers": ["body relu", "pi"],
        "outputs": "clipped",
        **PROCESSORS,
    }
    path.with_suffix(".yaml").write_text(yaml.safe_dump(described))


def test_agents_of_other_libraries_are_registered_and_play(root, tmp_path, monkeypatch):
    data = root / "tests" / "data" / "sources"
    shutil.copytree(data / "sb3" / "normalized_recurrent", tmp_path / "sb3")
    (tmp_path / "sb3" / "agent.yaml").write_text("env_name: Pendulum-v1\n")
    save_driver(tmp_path / "driver.pth")
    experiments = {
        "sb3": {
            "checkpoint_dir": "sb3",
            "register": {"policy_name": "sb3_{policy_id}"},
        },
        "cleanrl": {
            "checkpoint": str(data / "cleanrl" / "ppo.cleanrl_model"),
            "source": "cleanrl",
            "agent": {**CARTPOLE, "deterministic": True},
            "register": {"policy_name": "cleanrl"},
        },
        "rllib": {
            "checkpoint_dir": str(data / "rllib" / "ppo_lstm_cartpole"),
            "agent": CARTPOLE,
            "register": {"policy_name": "rllib"},
        },
        "evotorch": {
            "checkpoint": str(data / "evotorch" / "pendulum.pickle"),
            "register": {"policy_name": "evotorch"},
        },
        "module": {
            "checkpoint": "driver.pth",
            "register": {"policy_name": "module"},
        },
    }
    for experiment in experiments.values():
        experiment["verify_episodes"] = 4
    config = {"experiments": experiments, "films": False}
    workspace = Workspace(root, tmp_path, config)
    monkeypatch.chdir(tmp_path)
    planned = Experiments(read_config(config))
    verifications = [
        f"{planned.run_root}/{name}/{agent}/verification.json"
        for name in experiments
        for agent in planned[name].agents
    ]
    # Results do not depend on the library: those of one are enough.
    workspace.succeed("results/sb3", *verifications)
    specs = {}
    for path in map(Path, verifications):
        verification = json.loads(path.read_text())
        assert verification["passed"]
        spec = json.loads(path.with_name("spec.json").read_text())
        specs[verification["policy_id"]] = spec
    (driver,) = {name for name in specs if name.startswith("DrivingContinuous-v0/")}
    assert set(specs) == {
        "Pendulum-v1/sb3_model-v0",
        "CartPole-v1/cleanrl-v0",
        "CartPole-v1/rllib-v0",
        "Pendulum-v1/evotorch-v0",
        driver,
    }
    described = specs["Pendulum-v1/sb3_model-v0"]["description"]
    assert described.startswith("RecurrentPPO, 320 steps, mean return")
    # What stood between in training does so in POSGGym.
    for key, processor in PROCESSORS.items():
        assert specs[driver][key] == processor
