#!/usr/bin/env python
"""Make the small checkpoints of Stable-Baselines3 that tests read.

They were made by `make_sb3.py sb3` with stable-baselines3 2.9.2 and sb3-contrib 2.9.2.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sb3_contrib import ARS, QRDQN, TQC, TRPO, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common import save_util
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize
from torch import nn

# Small files: the optimizer's state is saved, too.
SMALL = {"net_arch": [12, 8]}
SEPARATE = {"net_arch": {"pi": [8], "vf": [6, 6]}}
RELU = {**SMALL, "activation_fn": nn.ReLU}
RECURRENT = {**SEPARATE, "lstm_hidden_size": 8}
CRITICS = {**SMALL, "n_critics": 1}
OFF_POLICY = {"learning_starts": 100, "buffer_size": 1000, "train_freq": 4}

# Name of each file: what makes the model, its environment, and its arguments.
MODELS: dict[str, tuple[Callable, str, dict]] = {
    "ppo_cartpole": (PPO, "CartPole-v1", {"policy_kwargs": SEPARATE, "n_steps": 64}),
    "ppo_pendulum": (PPO, "Pendulum-v1", {"policy_kwargs": RELU, "n_steps": 64}),
    "ppo_frozenlake": (PPO, "FrozenLake-v1", {"policy_kwargs": SMALL, "n_steps": 64}),
    "a2c_cartpole": (A2C, "CartPole-v1", {"policy_kwargs": SMALL}),
    "trpo_cartpole": (TRPO, "CartPole-v1", {"policy_kwargs": RELU, "n_steps": 64}),
    "dqn_cartpole": (DQN, "CartPole-v1", {"policy_kwargs": SMALL, **OFF_POLICY}),
    "qrdqn_cartpole": (
        QRDQN,
        "CartPole-v1",
        {"policy_kwargs": {**SMALL, "n_quantiles": 5}, **OFF_POLICY},
    ),
    "maskable_cartpole": (
        MaskablePPO,
        "CartPole-v1",
        {"policy_kwargs": SEPARATE, "n_steps": 64},
    ),
    "sac_pendulum": (SAC, "Pendulum-v1", {"policy_kwargs": CRITICS, **OFF_POLICY}),
    "td3_pendulum": (TD3, "Pendulum-v1", {"policy_kwargs": CRITICS, **OFF_POLICY}),
    "tqc_pendulum": (
        TQC,
        "Pendulum-v1",
        {"policy_kwargs": {**CRITICS, "activation_fn": nn.Tanh}, **OFF_POLICY},
    ),
    "ars_cartpole": (ARS, "CartPole-v1", {"policy": "LinearPolicy", "n_delta": 2}),
    "ars_pendulum": (ARS, "Pendulum-v1", {"policy_kwargs": SMALL, "n_delta": 2}),
    "recurrent_cartpole": (
        RecurrentPPO,
        "CartPole-v1",
        {"policy": "MlpLstmPolicy", "policy_kwargs": RECURRENT, "n_steps": 64},
    ),
    "recurrent_pendulum": (
        RecurrentPPO,
        "Pendulum-v1",
        {
            "policy": "MlpLstmPolicy",
            "policy_kwargs": {**RECURRENT, "n_lstm_layers": 2},
            "n_steps": 64,
        },
    ),
}
# Trained with VecNormalize, whose statistics are beside them.
NORMALIZED: dict[str, tuple[Callable, dict]] = {
    "ppo": (PPO, {"policy_kwargs": SMALL, "n_steps": 64}),
    "sac": (SAC, {"policy_kwargs": CRITICS, **OFF_POLICY}),
    "recurrent": (
        RecurrentPPO,
        {"policy": "MlpLstmPolicy", "policy_kwargs": RECURRENT, "n_steps": 64},
    ),
}


def trained(kind: Callable, env: Any, arguments: dict) -> Any:
    defaults = {"policy": "MlpPolicy", "seed": 0, "device": "cpu"}
    # Copied, because models change their arguments.
    model = kind(env=env, **defaults | copy.deepcopy(arguments))
    # No environment here says which actions are possible.
    masks = {"use_masking": False} if kind is MaskablePPO else {}
    return model.learn(300, **masks)


def main(folder: Path) -> None:
    # Files say nothing about this machine.
    save_util.get_system_info = lambda print_info: ({}, "")
    for name, (kind, env, arguments) in MODELS.items():
        model = trained(kind, make_vec_env(env, seed=0), arguments)
        model.save(folder / name)
    for name, (kind, arguments) in NORMALIZED.items():
        # Clipped where statistics of a short training are far off.
        env = VecNormalize(make_vec_env("Pendulum-v1", seed=0), clip_obs=1.0)
        model = trained(kind, env, arguments)
        place = folder / f"normalized_{name}"
        place.mkdir(exist_ok=True)
        model.save(place / "model")
        env.save(str(place / "vecnormalize.pkl"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
