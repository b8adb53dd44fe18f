"""Playing given actions, and recording all that comes of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from posggym_compiled.interface import World, observe, reset, seed, step
from posggym_compiled.jit import lean_kernel


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """An episode of t steps.

    Parameters
    ----------
    observations
        Shape (t + 1, num_agents, length), as `interface.observe` writes them.
    rewards, terminated
        Shape (t, num_agents).
    all_done
        Whether the episode ended by itself.
    """

    observations: npt.NDArray[Any]
    rewards: npt.NDArray[np.float64]
    terminated: npt.NDArray[np.bool_]
    all_done: bool


def replay(world: World, state: Any, seed: int, actions: npt.NDArray[Any]) -> Record:
    """Play the episode of a seed with given actions.

    Parameters
    ----------
    world
        World.
    state
        State of at least one environment; the first is used.
    seed
        Seed of the episode, below 2**64.
    actions
        Joint actions of at most t steps, of the shape that `World.action_buffer(t)`
        has. The episode is left where they end.
    """
    shape = len(actions), world.num_agents
    observations = world.observation_buffer(len(actions) + 1, world.num_agents)
    rewards, terminated = np.zeros(shape), np.zeros(shape, np.bool_)
    steps, all_done = _replay(
        world.params,
        state,
        np.uint64(seed),
        actions,
        observations,
        rewards,
        terminated,
    )
    return Record(
        observations[: steps + 1], rewards[:steps], terminated[:steps], bool(all_done)
    )


@lean_kernel
def _replay(
    params: Any,
    state: Any,
    value: np.uint64,
    actions: Any,
    observations: Any,
    rewards: Any,
    terminated: Any,
) -> tuple[int, bool]:
    seed(params, state, 0, value)
    reset(params, state, 0)
    for agent in range(rewards.shape[1]):
        observe(params, state, 0, agent, observations[0, agent])
    for t in range(len(actions)):
        all_done = step(params, state, 0, actions[t], rewards[t], terminated[t])
        for agent in range(rewards.shape[1]):
            observe(params, state, 0, agent, observations[t + 1, agent])
        if all_done:
            return t + 1, True
    return len(actions), False
