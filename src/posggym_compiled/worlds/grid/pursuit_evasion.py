"""PursuitEvasion: an evader on the way to its goal, and a pursuer that may see it.

What is seen from a cell in a direction is a table, made by POSGGym's own field of view.
Source: `posggym.envs.grid_world.pursuit_evasion`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

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
    distances,
    make_cells,
    make_pair_state,
    number,
    numbers,
)

EVADER, PURSUER = range(2)
# What the state keeps besides cells: directions, starts, the row of the goal, and the
# least distance to it so far.
EVADER_FACING, PURSUER_FACING, EVADER_START, PURSUER_START, GOAL, MIN_DIST = range(6)
HEARING_DISTANCE = 2


class PursuitEvasionParams(NamedTuple):
    """Constants of PursuitEvasion.

    Parameters
    ----------
    cells
        The grid.
    height
        Rows of the grid.
    turns
        Shape (actions, 4): direction after an action, by the direction before it.
    evader_starts, pursuer_starts
        Cells where they may start.
    goals
        Shape (goals,): cells of all goals.
    goal_rows, num_goals
        Shape (cells, most) and (cells,): goals of an evader that starts there.
    distances
        Shape (goals, cells): steps to each goal.
    views
        Shape (cells, 4, cells): whether a cell is seen from another one, by direction.
    progress_reward
        Reward of the evader for coming nearer; 0 without.
    min_return, return_range
        What normalises rewards.
    """

    cells: Cells
    height: int
    turns: Integers
    evader_starts: Integers
    pursuer_starts: Integers
    goals: Integers
    goal_rows: Integers
    num_goals: Integers
    distances: Integers
    views: npt.NDArray[np.bool_]
    progress_reward: float
    min_return: float
    return_range: float


def make_world(env: Any) -> World:
    """Return the compiled form of a PursuitEvasion environment.

    Raises
    ------
    UnsupportedError
        If an evader may start where there is no way to its goal, which POSGGym answers
        with a KeyError.
    """
    from posggym.envs.grid_world.pursuit_evasion import ACTION_TO_DIR

    model = env.model
    grid = model.grid
    goals = list(grid.shortest_paths)
    rows = {goal: row for row, goal in enumerate(goals)}
    ways = distances(grid, goals)
    goal_lists = [grid.get_goal_coords(start) for start in grid.evader_start_coords]
    goal_rows = np.zeros((len(ways[0]), max(map(len, goal_lists))), np.int64)
    num_goals = np.zeros(len(ways[0]), np.int64)
    for start, own in zip(grid.evader_start_coords, goal_lists, strict=True):
        cell = number(grid, start)
        num_goals[cell] = len(own)
        goal_rows[cell, : len(own)] = [rows[goal] for goal in own]
        if (ways[goal_rows[cell, : len(own)], cell] < 0).any():
            raise UnsupportedError(f"there is no way from {start} to a goal")
    params = PursuitEvasionParams(
        cells=make_cells(grid),
        height=int(grid.height),
        turns=np.array(ACTION_TO_DIR, np.int64),
        evader_starts=numbers(grid, grid.evader_start_coords),
        pursuer_starts=numbers(grid, grid.pursuer_start_coords),
        goals=numbers(grid, goals),
        goal_rows=goal_rows,
        num_goals=num_goals,
        distances=ways,
        views=_views(model),
        progress_reward=model.R_PROGRESS if model.use_progress_reward else 0.0,
        min_return=float(model._min_raw_return),
        return_range=float(model._max_raw_return - model._min_raw_return),
    )
    return World.of(env, params, lambda num_envs: make_pair_state(num_envs, 6))


def _views(model: Any) -> npt.NDArray[np.bool_]:
    """Return which cells are seen from each cell in each direction."""
    grid = model.grid
    cells = grid.width * grid.height
    views = np.zeros((cells, 4, cells), np.bool_)
    for y in range(grid.height):
        for x in range(grid.width):
            if (x, y) in grid.block_coords:
                continue
            for facing in range(4):
                seen = grid.get_fov(
                    (x, y), facing, model.FOV_EXPANSION_INCR, model.max_obs_distance
                )
                views[number(grid, (x, y)), facing, numbers(grid, seen)] = True
    return views


@lean_helper
def sees(params: PursuitEvasionParams, state: PairState, env: int, agent: int) -> bool:
    """Return whether an agent sees the other one."""
    own, other = state.cells[env, agent], state.cells[env, 1 - agent]
    return params.views[own, state.more[env, EVADER_FACING + agent], other]


@implements(seed, PursuitEvasionParams, lean=True)
def _seed(params: PursuitEvasionParams, state: PairState, env: int, value: Any) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, PursuitEvasionParams, lean=True)
def _reset(params: PursuitEvasionParams, state: PairState, env: int) -> None:
    rng, more = state.rng[env], state.more[env]
    evader = params.evader_starts[
        python_random.randbelow(rng, len(params.evader_starts))
    ]
    pursuer = params.pursuer_starts[
        python_random.randbelow(rng, len(params.pursuer_starts))
    ]
    n = python_random.randbelow(rng, params.num_goals[evader])
    goal = params.goal_rows[evader, n]
    state.cells[env, EVADER] = more[EVADER_START] = evader
    state.cells[env, PURSUER] = more[PURSUER_START] = pursuer
    more[EVADER_FACING] = more[PURSUER_FACING] = 0
    more[GOAL] = goal
    more[MIN_DIST] = params.distances[goal, evader]


@implements(step, PursuitEvasionParams, lean=True)
def _step(
    params: PursuitEvasionParams,
    state: PairState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    cells, more = state.cells[env], state.more[env]
    for agent in range(2):
        facing = more[EVADER_FACING + agent]
        more[EVADER_FACING + agent] = params.turns[actions[agent], facing]
    moves = params.cells.moves
    cells[PURSUER] = moves[cells[PURSUER], more[PURSUER_FACING]]
    if cells[PURSUER] != cells[EVADER]:
        cells[EVADER] = moves[cells[EVADER], more[EVADER_FACING]]
    reward = 0.0
    distance = params.distances[more[GOAL], cells[EVADER]]
    if distance < more[MIN_DIST]:
        more[MIN_DIST] = distance
        reward += params.progress_reward
    caught = cells[EVADER] == cells[PURSUER] or sees(params, state, env, PURSUER)
    arrived = cells[EVADER] == params.goals[more[GOAL]]
    if caught:
        reward -= 1.0
    elif arrived:
        reward += 1.0
    reward = 2 * (reward - params.min_return) / params.return_range - 1
    rewards[EVADER] = reward
    rewards[PURSUER] = -reward
    over = caught or arrived
    terminated[EVADER] = terminated[PURSUER] = over
    return over


@implements(observe, PursuitEvasionParams, lean=True)
def _observe(
    params: PursuitEvasionParams, state: PairState, env: int, agent: int, out: Any
) -> None:
    cells, more = params.cells, state.more[env]
    own, other = state.cells[env, agent], state.cells[env, 1 - agent]
    for direction in range(4):
        out[direction] = 2 * direction + (cells.moves[own, direction] == own)
    distance = abs(cells.x[own] - cells.x[other]) + abs(cells.y[own] - cells.y[other])
    out[4] = 8 + sees(params, state, env, agent)
    out[5] = 10 + (distance <= HEARING_DISTANCE)
    # The pursuer sees (0, 0) for the goal.
    goal = params.goals[more[GOAL]] if agent == EVADER else 0
    offset = 12
    for n in range(3):
        cell = goal if n == 2 else more[EVADER_START + n]
        out[6 + 2 * n] = offset + cells.x[cell]
        out[7 + 2 * n] = offset + cells.width + cells.y[cell]
        offset += cells.width + params.height
