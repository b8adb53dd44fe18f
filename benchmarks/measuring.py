"""The setting of benchmarks, and the physical limit that ratios refer to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from pgpelib.training.config import TrainingConfig


def endless_config(popsize: int, workers: int) -> TrainingConfig:
    """Return HumanoidBullet's setting with nothing but generations, forever."""
    return TrainingConfig(
        popsize=popsize,
        popsize_max=None,
        num_interactions=None,
        niters=10**6,
        re_eval_interval=10**6,
        save_interval=10**6,
        num_cpus=workers,
    )


def measure_limit(
    pipes: Sequence[Connection],
    request: Callable[[range], tuple[Any, ...]],
    popsize: int,
) -> tuple[int, float]:
    """Return steps and seconds of replaying `popsize` solutions.

    Parameters
    ----------
    pipes
        Each to a process that records the episodes that it is sent a request for,
        answers with their steps, and replays them when it is told to.
    request
        What to send for a range of solutions.
    popsize
        Number of solutions.
    """
    bounds = np.linspace(0, popsize, len(pipes) + 1).astype(int).tolist()
    for pipe, first, last in zip(pipes, bounds, bounds[1:], strict=False):
        pipe.send(request(range(first, last)))
    steps = sum(pipe.recv() for pipe in pipes)
    started = time.perf_counter()
    for pipe in pipes:
        pipe.send(None)
    for pipe in pipes:
        pipe.recv()
    return steps, time.perf_counter() - started
