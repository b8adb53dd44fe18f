"""UAV: an unmanned aerial vehicle looks for a fugitive on the way to a safe house.

Observations are drawn at random when a step is made, so the state keeps them. Source:
`posggym.envs.grid_world.uav`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from posggym_compiled.interface import (
    Integers,
    UnsupportedError,
    World,
    implements,
    observe,
    reset,
    seed,
    step,
)
from posggym_compiled.jit import lean_helper
from posggym_compiled.random import python_random
from posggym_compiled.worlds.grid.core import (
    Cells,
    PairState,
    make_cells,
    make_pair_state,
    number,
    numbers,
)

UAV, FUGITIVE = range(2)
NORTH, SOUTH, LEVEL, NONE = range(4)
UAV_ACCURACY, FUGITIVE_ACCURACY = 0.9, 0.8
# What the UAV sees of the fugitive, and the fugitive of the safe house.
SEEN_CELL, SEEN_DIRECTION = range(2)


class UAVParams(NamedTuple):
    """Constants of UAV.

    Parameters
    ----------
    cells
        The grid.
    height
        Rows of the grid.
    safe
        Cell of the safe house.
    uav_starts, fugitive_starts
        Cells where they may start.
    """

    cells: Cells
    height: int
    safe: int
    uav_starts: Integers
    fugitive_starts: Integers


def make_world(env: Any) -> World:
    """Return the compiled form of a UAV environment.

    Raises
    ------
    UnsupportedError
        If a cell of the grid has fewer than two neighbours: POSGGym fails there when
        it draws what the UAV sees.
    """
    grid = env.model.grid
    cells = make_cells(grid)
    if (cells.num_neighbours[numbers(grid, grid.unblocked_coords)] < 2).any():
        raise UnsupportedError("a cell of the grid has fewer than two neighbours")
    params = UAVParams(
        cells=cells,
        height=int(grid.height),
        safe=number(grid, grid.safe_house_coord),
        uav_starts=numbers(grid, grid.init_uav_coords),
        fugitive_starts=numbers(grid, grid.init_fug_coords),
    )
    return World.of(env, params, lambda num_envs: make_pair_state(num_envs, 2))


@lean_helper
def draw_without(rng: Any, values: Integers, count: int, without: int) -> int:
    """Draw from the first values of a list from which one may have been removed."""
    place = count
    for i in range(count):
        if values[i] == without:
            place = i
            break
    n = python_random.randbelow(rng, count - 1 if place < count else count)
    return values[n + 1 if n >= place else n]


@lean_helper
def draw_fugitive(params: UAVParams, rng: Any, uav: int) -> int:
    """Draw a start of the fugitive."""
    starts = params.fugitive_starts
    return draw_without(rng, starts, len(starts), uav)


@lean_helper
def draw_observations(params: UAVParams, state: PairState, env: int) -> None:
    """Draw what both see, the UAV first."""
    rng, cells = state.rng[env], params.cells
    uav, fugitive = state.cells[env, UAV], state.cells[env, FUGITIVE]
    seen = fugitive
    if fugitive != params.safe and not python_random.random(rng) < UAV_ACCURACY:
        seen = draw_without(
            rng, cells.neighbours[fugitive], cells.num_neighbours[fugitive], uav
        )
    state.more[env, SEEN_CELL] = seen
    right = cells.x[params.safe] - cells.x[fugitive]
    down = cells.y[params.safe] - cells.y[fugitive]
    direction = NONE
    if right == 0 and down == -1:
        direction = SOUTH
    elif abs(right) + abs(down) == 1:
        # POSGGym takes the neighbours for north, south, west and east: the one in the
        # east counts as north of the safe house, and the one below it as level.
        direction = NORTH if right == 1 else LEVEL
    if direction != NONE and not python_random.random(rng) < FUGITIVE_ACCURACY:
        direction = python_random.randbelow(rng, 3)
    state.more[env, SEEN_DIRECTION] = direction


@implements(seed, UAVParams, lean=True)
def _seed(params: UAVParams, state: PairState, env: int, value: Any) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, UAVParams, lean=True)
def _reset(params: UAVParams, state: PairState, env: int) -> None:
    rng = state.rng[env]
    uav = params.uav_starts[python_random.randbelow(rng, len(params.uav_starts))]
    state.cells[env, UAV] = uav
    state.cells[env, FUGITIVE] = draw_fugitive(params, rng, uav)
    draw_observations(params, state, env)


@implements(step, UAVParams, lean=True)
def _step(
    params: UAVParams,
    state: PairState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    moves = params.cells.moves
    uav = moves[state.cells[env, UAV], actions[UAV]]
    fugitive = state.cells[env, FUGITIVE]
    if uav != fugitive:
        fugitive = moves[fugitive, actions[FUGITIVE]]
    rewards[UAV] = rewards[FUGITIVE] = -0.04
    if fugitive == params.safe:
        rewards[UAV], rewards[FUGITIVE] = -1.0, 1.0
    elif fugitive == uav:
        rewards[UAV], rewards[FUGITIVE] = 1.0, -1.0
    if fugitive == params.safe or fugitive == uav:
        fugitive = draw_fugitive(params, state.rng[env], uav)
    state.cells[env, UAV] = uav
    state.cells[env, FUGITIVE] = fugitive
    draw_observations(params, state, env)
    terminated[UAV] = terminated[FUGITIVE] = False
    return False


@implements(observe, UAVParams, lean=True)
def _observe(
    params: UAVParams, state: PairState, env: int, agent: int, out: Any
) -> None:
    if agent == FUGITIVE:
        out[0] = state.more[env, SEEN_DIRECTION]
        return
    cells, width = params.cells, params.cells.width
    uav, seen = state.cells[env, UAV], state.more[env, SEEN_CELL]
    out[0] = cells.x[uav]
    out[1] = width + cells.y[uav]
    out[2] = width + params.height + cells.x[seen]
    out[3] = 2 * width + params.height + cells.y[seen]
