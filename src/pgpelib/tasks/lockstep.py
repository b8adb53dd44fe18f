"""Several episodes side by side, with one forward pass for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pgpelib.policies.networks import Layer, Network, NetworkBatch

if TYPE_CHECKING:
    from pgpelib.tasks.base import Episode, Others, Rollout, Task


def play(
    task: Task,
    solutions: Sequence[Sequence[Layer]],
    activation: str,
    seeds: Sequence[int],
    others: Others | None = None,
) -> list[Rollout]:
    """Play an episode with each of some networks.

    The results are those of playing them one after the other, to the last bit.

    Parameters
    ----------
    task
        Makes as many environments as are played in at a time.
    solutions
        Layers of each network, with the observation normalisation folded in.
    activation
        See `NetworkBatch`.
    seeds
        Seed of each episode.
    others
        See `Task.episode`.

    Returns
    -------
    list of Rollout
        In the order of the solutions.
    """
    # A linear network is so cheap that changing between simulations costs more.
    slots = min(task.max_slots, len(solutions)) if len(solutions[0]) > 1 else 1
    if slots == 1:
        return [
            task.rollout(Network(layers, activation), seed, others)
            for layers, seed in zip(solutions, seeds, strict=True)
        ]
    lanes = task.lanes
    observations = np.zeros((slots * lanes, task.observation_size))
    outputs = np.zeros((slots * lanes, task.action.output_size))
    batch = NetworkBatch(solutions[0], activation, slots * lanes)
    rollouts: dict[int, Rollout] = {}
    waiting = iter(range(len(solutions)))
    running: dict[int, tuple[int, Episode]] = {}

    def begin(slot: int) -> None:
        index = next(waiting, None)
        if index is None:
            running.pop(slot, None)
            return
        own = slice(slot * lanes, (slot + 1) * lanes)
        for lane in range(own.start, own.stop):
            batch.load(lane, solutions[index])
        episode = task.episode(
            slot, seeds[index], observations[own], outputs[own], others
        )
        running[slot] = index, episode
        # To its first observation.
        next(episode)

    for slot in range(slots):
        begin(slot)
    while running:
        outputs[:] = batch.forward(observations)
        for slot, (index, episode) in list(running.items()):
            try:
                next(episode)
            except StopIteration as stop:
                rollouts[index] = stop.value
                begin(slot)
    return [rollouts[index] for index in range(len(solutions))]
