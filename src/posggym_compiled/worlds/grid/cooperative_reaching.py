"""CooperativeReaching: two agents score when they stand on the same goal.

Source: `posggym.envs.grid_world.cooperative_reaching`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from posggym_compiled.interface import (
    Integers,
    World,
    implements,
    observe,
    reset,
    seed,
    step,
)
from posggym_compiled.networks import Vector
from posggym_compiled.random import python_random
from posggym_compiled.worlds.grid.core import (
    DIRECTIONS,
    Cells,
    PairState,
    make_cells,
    make_pair_state,
    number,
    numbers,
)


class CooperativeReachingParams(NamedTuple):
    """Constants of CooperativeReaching.

    Parameters
    ----------
    cells
        The grid.
    starts
        Cells where agents start.
    values
        Shape (cells,): reward of a goal, 0 where there is none.
    obs_distance
        Cells in each direction that an agent sees.
    """

    cells: Cells
    starts: Integers
    values: Vector
    obs_distance: int


def make_world(env: Any) -> World:
    """Return the compiled form of a CooperativeReaching environment."""
    model = env.model
    values = np.zeros(model.size**2)
    for goal, value in model.goals.items():
        values[number(model.grid, goal)] = value
    params = CooperativeReachingParams(
        cells=make_cells(model.grid),
        starts=numbers(model.grid, model.possible_start_coords),
        values=values,
        obs_distance=int(model.obs_distance),
    )
    return World.of(env, params, make_pair_state)


@implements(seed, CooperativeReachingParams, lean=True)
def _seed(
    params: CooperativeReachingParams, state: PairState, env: int, value: Any
) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, CooperativeReachingParams, lean=True)
def _reset(params: CooperativeReachingParams, state: PairState, env: int) -> None:
    for i in range(2):
        start = python_random.randbelow(state.rng[env], len(params.starts))
        state.cells[env, i] = params.starts[start]


@implements(step, CooperativeReachingParams, lean=True)
def _step(
    params: CooperativeReachingParams,
    state: PairState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    for i in range(2):
        if actions[i] != 0:
            direction = DIRECTIONS[actions[i] - 1]
            state.cells[env, i] = params.cells.moves[state.cells[env, i], direction]
    together = state.cells[env, 0] == state.cells[env, 1]
    value = params.values[state.cells[env, 0]] if together else 0.0
    for i in range(2):
        rewards[i] = value
        terminated[i] = value > 0.0
    return value > 0.0


@implements(observe, CooperativeReachingParams, lean=True)
def _observe(
    params: CooperativeReachingParams, state: PairState, env: int, agent: int, out: Any
) -> None:
    cells, size = params.cells, params.cells.width
    own, other = state.cells[env, agent], state.cells[env, 1 - agent]
    x, y = cells.x[other], cells.y[other]
    distance = max(abs(cells.x[own] - x), abs(cells.y[own] - y))
    if distance > params.obs_distance:
        x = y = size
    out[0] = cells.x[own]
    out[1] = size + cells.y[own]
    out[2] = 2 * size + x
    out[3] = 3 * size + 1 + y
