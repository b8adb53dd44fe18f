"""RockPaperScissors: each agent sees what the other one showed.

Source: `posggym.envs.classic.rock_paper_scissors`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from posggym_compiled.interface import World, implements, observe, reset, seed, step
from posggym_compiled.networks import Vector
from posggym_compiled.worlds.classic.core import ClassicState, make_classic_state

ROCK = 0


class RockPaperScissorsParams(NamedTuple):
    """Constants of RockPaperScissors.

    Parameters
    ----------
    payoffs
        Shape (3, 3): reward by an agent's own action and the other one's.
    """

    payoffs: Vector


def make_world(env: Any) -> World:
    """Return the compiled form of a RockPaperScissors environment."""
    params = RockPaperScissorsParams(np.array(env.model.R_MATRIX, np.float64))
    return World.of(env, params, lambda n: make_classic_state(n, 0, 2, 1))


@implements(seed, RockPaperScissorsParams, lean=True)
def _seed(
    params: RockPaperScissorsParams, state: ClassicState, env: int, value: Any
) -> None:
    # Nothing is random.
    pass


@implements(reset, RockPaperScissorsParams, lean=True)
def _reset(params: RockPaperScissorsParams, state: ClassicState, env: int) -> None:
    for i in range(2):
        state.seen[env, i, 0] = ROCK


@implements(step, RockPaperScissorsParams, lean=True)
def _step(
    params: RockPaperScissorsParams,
    state: ClassicState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    for i in range(2):
        other = actions[1 - i]
        state.seen[env, i, 0] = other
        rewards[i] = params.payoffs[actions[i], other]
        terminated[i] = False
    return False


@implements(observe, RockPaperScissorsParams, lean=True)
def _observe(
    params: RockPaperScissorsParams, state: ClassicState, env: int, agent: int, out: Any
) -> None:
    out[0] = state.seen[env, agent, 0]
