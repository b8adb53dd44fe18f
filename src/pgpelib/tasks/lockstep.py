"""Playing several episodes in lockstep, with one forward pass for all of them."""

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
    """Play one episode with each network.

    The results are bit for bit those of playing the episodes one after the other.

    Parameters
    ----------
    task
        The task, which creates one environment per simultaneous episode.
    solutions
        Layers of each network, with the observation normalisation folded in.
    activation
        Activation of the hidden layers, see `NetworkBatch`.
    seeds
        Seed of each network's episode.
    others
        Networks of the agents that the learner does not play.

    Returns
    -------
    list of Rollout
        One per network, in the given order.
    """
    # Linear networks are so cheap that switching between simulations would cost more.
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
        # Run to the first observation.
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
