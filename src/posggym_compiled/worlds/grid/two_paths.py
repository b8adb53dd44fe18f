"""TwoPaths: a runner on the way to one of two goals, and a chaser.

Source: `posggym.envs.grid_world.two_paths`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from posggym_compiled.interface import (
    UnsupportedError,
    World,
    implements,
    observe,
    reset,
    seed,
    step,
)
from posggym_compiled.jit import lean_helper
from posggym_compiled.networks import Vector
from posggym_compiled.random import python_random
from posggym_compiled.worlds.grid.core import (
    Cells,
    PairState,
    make_cells,
    make_pair_state,
    marked,
    number,
)

RUNNER, CHASER = range(2)
OPPONENT, WALL, EMPTY = range(3)


class TwoPathsParams(NamedTuple):
    """Constants of TwoPaths.

    Parameters
    ----------
    cells
        The grid.
    goals
        Shape (cells,): which cells are goals.
    runner, chaser
        Where they start.
    action_probs
        Shape (2,): how often an agent's action is what it does.
    """

    cells: Cells
    goals: npt.NDArray[np.bool_]
    runner: int
    chaser: int
    action_probs: Vector


def make_world(env: Any) -> World:
    """Return the compiled form of a TwoPaths environment.

    Raises
    ------
    UnsupportedError
        If `action_probs` is neither a float nor a pair, with which POSGGym's
        environment cannot make a step.
    """
    grid = env.model.grid
    probs = np.array(env.model._action_probs, np.float64)
    if probs.shape != (2,):
        raise UnsupportedError(f"action_probs {probs} is neither a float nor a pair")
    params = TwoPathsParams(
        cells=make_cells(grid),
        goals=marked(grid, grid.goal_coords),
        runner=number(grid, grid.init_runner_coord),
        chaser=number(grid, grid.init_chaser_coord),
        action_probs=probs,
    )
    return World.of(env, params, make_pair_state)


@lean_helper
def move(params: TwoPathsParams, rng: Any, i: int, cell: int, action: int) -> int:
    """Return where an agent comes to, by its action or another one."""
    if python_random.random(rng) > params.action_probs[i]:
        other = python_random.randbelow(rng, 3)
        action = other + 1 if other >= action else other
    return params.cells.moves[cell, action]


@implements(seed, TwoPathsParams, lean=True)
def _seed(params: TwoPathsParams, state: PairState, env: int, value: Any) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, TwoPathsParams, lean=True)
def _reset(params: TwoPathsParams, state: PairState, env: int) -> None:
    state.cells[env, RUNNER] = params.runner
    state.cells[env, CHASER] = params.chaser


@implements(step, TwoPathsParams, lean=True)
def _step(
    params: TwoPathsParams,
    state: PairState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    rng, cells = state.rng[env], params.cells
    runner = state.cells[env, RUNNER]
    chaser = move(params, rng, CHASER, state.cells[env, CHASER], actions[CHASER])
    if chaser != runner:
        runner = move(params, rng, RUNNER, runner, actions[RUNNER])
    state.cells[env, RUNNER] = runner
    state.cells[env, CHASER] = chaser
    distance = abs(cells.x[runner] - cells.x[chaser])
    distance += abs(cells.y[runner] - cells.y[chaser])
    rewards[RUNNER] = rewards[CHASER] = -0.01
    if distance <= 1:
        rewards[RUNNER], rewards[CHASER] = -1.0, 1.0
    elif params.goals[runner]:
        rewards[RUNNER], rewards[CHASER] = 1.0, -1.0
    over = distance <= 1 or params.goals[runner]
    terminated[RUNNER] = terminated[CHASER] = over
    return over


@implements(observe, TwoPathsParams, lean=True)
def _observe(
    params: TwoPathsParams, state: PairState, env: int, agent: int, out: Any
) -> None:
    own, other = state.cells[env, agent], state.cells[env, 1 - agent]
    for direction in range(4):
        ahead = params.cells.moves[own, direction]
        if ahead == other:
            seen = OPPONENT
        elif ahead == own:
            seen = WALL
        else:
            seen = EMPTY
        out[direction] = 3 * direction + seen
