"""Small training runs and their results."""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from pgpelib.restore import load_policy
from pgpelib.training.config import TrainingConfig
from pgpelib.training.loop import (
    Training,
)

LANDER = {
    "env_name": "LunarLanderContinuous-v2",
    "hidden": [],
    "obs_norm": True,
    "niters": 3,
    "popsize": 12,
    "popsize_max": 36,
    "num_interactions": 2500,
    "max_speed": 0.3,
    "center_lr": 0.15,
    "radius": 4.5,
    "re_eval_interval": 2,
    "re_eval_num_episodes": 2,
    "save_interval": 2,
    "num_cpus": 1,
    "seed": 3,
}

# Kernels play this one; they compile quickly.
TIGER = LANDER | {
    "env_name": "posggym:MultiAgentTiger-v0",
    "popsize_max": None,
    "num_interactions": None,
    "max_episode_length": 12,
}

# Columns that tell how long something took.
TIMINGS = {"pop_elapsed", "elapsed", "steps_per_second"}


def train(run_dir: Path, **changes) -> Training:
    with Training(TrainingConfig.from_dict({**LANDER, **changes}), run_dir) as training:
        training.run()
    return training


def start_training(root: Path, run_dir: Path, **changes) -> subprocess.Popen:
    """Start the training script with two workers in a new session."""
    config = {**LANDER, "num_cpus": 2, "run_dir": str(run_dir), **changes}
    settings = [f"{name}={value!r}" for name, value in config.items()]
    script = root / "workflow" / "scripts" / "train.py"
    return subprocess.Popen(
        [sys.executable, script, "with", *settings],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def results(run_dir: Path):
    """Return everything that a run computed except timings."""
    with np.load(run_dir / "state.npz") as archive:
        state = {k: v.tolist() for k, v in archive.items() if k != "elapsed"}
    with (run_dir / "metrics.csv").open() as file:
        metrics = [
            {k: v for k, v in row.items() if k not in TIMINGS}
            for row in csv.DictReader(file)
        ]
    policies = {}
    for path in (run_dir / "policies").glob("*.pickle"):
        policy = load_policy(path)
        policies[policy.metadata.generation, policy.metadata.role] = [
            array.tolist() for layer in policy.layers for array in layer
        ]
    return state, metrics, policies


def wait_for(condition, seconds=600, interval=0.02):
    """Wait until a condition holds; fail after some minutes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(interval)
