#!/usr/bin/env python
"""Make the small checkpoints of RLlib that tests read.

They are the RLModules of algorithms that were trained for one iteration, and what each
makes of 1,000 observations in 10 episodes (`results.npz`). They were made by
`make_rllib.py rllib` with ray 2.60.0 and gymnasium 1.2.2.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import ray
import torch
import tree
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.algorithms.dqn import DQNConfig
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.algorithms.sac import SACConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.distribution.torch.torch_distribution import (
    TorchSquashedGaussian,
)
from ray.rllib.core.rl_module import RLModule

HIDDEN = {"fcnet_hiddens": [8, 8], "fcnet_activation": "tanh"}
RELU = {"fcnet_hiddens": [8, 8], "fcnet_activation": "relu", "vf_share_layers": True}
RECURRENT = {**HIDDEN, "use_lstm": True, "lstm_cell_size": 8, "max_seq_len": 10}
HEADS = {
    **HIDDEN,
    "fcnet_activation": "relu",
    "head_fcnet_hiddens": [6],
    # Of the critic.
    "fusionnet_hiddens": [8],
}
FREE = {**HIDDEN, "free_log_std": True}


def ppo(env: str, model: dict) -> AlgorithmConfig:
    config = PPOConfig().environment(env).rl_module(model_config=model)
    return config.training(
        train_batch_size_per_learner=128, minibatch_size=64, num_epochs=1
    )


def dqn(env: str, model: dict) -> AlgorithmConfig:
    config = DQNConfig().environment(env).rl_module(model_config=model)
    return config.training(num_steps_sampled_before_learning_starts=32)


def sac(env: str, model: dict) -> AlgorithmConfig:
    config = SACConfig().environment(env).rl_module(model_config=model)
    return config.training(num_steps_sampled_before_learning_starts=32)


ALGORITHMS = {
    "ppo_cartpole": ppo("CartPole-v1", HIDDEN),
    "ppo_shared_cartpole": ppo("CartPole-v1", RELU),
    "ppo_lstm_cartpole": ppo("CartPole-v1", RECURRENT),
    "ppo_pendulum": ppo("Pendulum-v1", HIDDEN),
    "ppo_free_pendulum": ppo("Pendulum-v1", FREE),
    "dqn_cartpole": dqn("CartPole-v1", HIDDEN),
    "sac_cartpole": sac("CartPole-v1", HIDDEN),
    "sac_pendulum": sac("Pendulum-v1", HEADS),
}


def results(module: RLModule) -> dict[str, np.ndarray]:
    """Return observations and what a module makes of them, (episodes, steps, ...)."""
    size = module.observation_space.shape[0]
    observations = torch.randn(10, 100, size, generator=torch.manual_seed(1))
    batch = {Columns.OBS: observations.reshape(-1, size)}
    if module.is_stateful():
        state = tree.map_structure(
            lambda x: torch.zeros(10, *x.shape), module.get_initial_state()
        )
        batch = {Columns.OBS: observations, Columns.STATE_IN: state}
    with torch.no_grad():
        given = module.forward_inference(batch)
    outputs = given.get(Columns.ACTION_DIST_INPUTS, given.get(Columns.ACTIONS))
    kind = module.get_inference_action_dist_cls()
    if kind is TorchSquashedGaussian:
        # `to_deterministic` of Ray 2.60 gives the mean without squashing it.
        distribution = kind.from_logits(outputs)
        outputs = distribution._squash(distribution.loc)
    return {
        "observations": observations.numpy(),
        "outputs": outputs.reshape(10, 100, -1).numpy(),
    }


def main(folder: Path) -> None:
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    for name, config in ALGORITHMS.items():
        config = config.env_runners(num_env_runners=0).debugging(seed=0)
        algorithm = config.build_algo()
        algorithm.train()
        with tempfile.TemporaryDirectory() as saved:
            path = Path(algorithm.save_to_path(saved))
            module = path / "learner_group" / "learner" / "rl_module"
            shutil.copytree(module / "default_policy", folder / name)
        np.savez_compressed(
            folder / name / "results", **results(algorithm.get_module())
        )
        algorithm.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
