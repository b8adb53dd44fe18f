#!/usr/bin/env python
"""Make the small policies of EvoTorch that tests read.

They were made by `make_evotorch.py evotorch` with evotorch 0.6.1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from evotorch.algorithms import PGPE
from evotorch.neuroevolution import GymNE

POLICIES = {
    "cartpole": (
        "CartPole-v1",
        "Linear(obs_length, 8) >> ReLU() >> Linear(8, act_length)",
        False,
    ),
    "pendulum": (
        "Pendulum-v1",
        "Linear(obs_length, 8) >> Tanh() >> Linear(8, 6) >> Tanh()"
        " >> Linear(6, act_length)",
        True,
    ),
    "linear_pendulum": ("Pendulum-v1", "Linear(obs_length, act_length)", True),
}


def main(folder: Path) -> None:
    for name, (env, network, normalized) in POLICIES.items():
        torch.manual_seed(0)
        problem = GymNE(
            env, network, observation_normalization=normalized, num_actors=1
        )
        searcher = PGPE(
            problem,
            popsize=10,
            center_learning_rate=0.1,
            stdev_learning_rate=0.1,
            stdev_init=0.5,
        )
        searcher.run(3)
        problem.save_solution(searcher.status["center"], folder / f"{name}.pickle")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
