"""Driving: vehicles that cross a grid without crashing into each other.

Cells are numbered on a map with a margin of walls around it, so that what a vehicle
sees never lies outside of the map. Source: `posggym.envs.grid_world.driving`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
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
from posggym_compiled.random import python_random, python_sets
from posggym_compiled.worlds.ways import NUM_SETS, clear_ways, draw_way

Coord = tuple[int, int]
Bytes = npt.NDArray[np.int8]

# Columns of a vehicle's state. The last three say what was before the step.
CELL, FACING, SPEED, DEST, DEST_ROW, REACHED, CRASHED, MIN_DIST, INIT_DIST = range(9)
WAS_OVER, OLD_MIN_DIST = 9, 10
NUM_COLUMNS = 11

REVERSE, STOPPED, SLOW, FAST = range(4)
DO_NOTHING, ACCELERATE, DECELERATE, TURN_RIGHT, TURN_LEFT = range(5)
VEHICLE, WALL, EMPTY, DESTINATION = range(4)


class Board(NamedTuple):
    """Geometry of a map, the same for all maps of a size.

    Parameters
    ----------
    stride
        Cells of a row of the map, margins included.
    front, back, side
        Cells that a vehicle sees ahead, behind, and to each side.
    columns, rows
        Shape (cells,): POSGGym's coordinates of a cell.
    moves
        Shape (4,): what a step to north, east, south, west adds to a cell.
    window
        Shape (4, seen): what leads from a vehicle's cell to those that it sees, by
        the direction that it faces.
    offsets
        Shape (parts,): first index of each part of an observation.
    hashes
        Shape (cells,): Python's hashes of the coordinates.
    """

    stride: int
    front: int
    back: int
    side: int
    columns: Integers
    rows: Integers
    moves: Integers
    window: Integers
    offsets: Integers
    hashes: Integers


class DrivingParams(NamedTuple):
    """Constants of Driving.

    Parameters
    ----------
    board
        Geometry.
    walls
        Shape (cells,): whether there is a wall.
    dest_rows
        Shape (cells,): row of `distances` of a destination.
    distances
        Shape (destinations, cells): steps to each destination.
    starts, dests
        Shape (agents, length): where each agent may start and go, as Python sets.
    """

    board: Board
    walls: Bytes
    dest_rows: Integers
    distances: Integers
    starts: Integers
    dests: Integers


class DrivingState(NamedTuple):
    """State of Driving; the first dimension is the environments.

    Parameters
    ----------
    rng
        uint32 (n, 625): Python's random generators.
    vehicles
        int64 (n, agents, columns).
    order
        int64 (n, agents): in which the vehicles drive; scratch.
    sets
        int64 (n, NUM_SETS, length): of `draw_way`.
    """

    rng: npt.NDArray[np.uint32]
    vehicles: Integers
    order: Integers
    sets: Integers


def make_board(width: int, height: int, obs_dim: tuple[int, int, int]) -> Board:
    """Return the geometry of a map without anything on it."""
    front, back, side = obs_dim
    margin = max(obs_dim)
    stride = width + 2 * margin
    cells = stride * (height + 2 * margin)
    rows, columns = np.divmod(np.arange(cells), stride)
    moves = np.array([-stride, 1, stride, -1])
    seen = list(itertools.product(range(front, -back - 1, -1), range(-side, side + 1)))
    # A cell so far ahead and so far to the right, whose direction is the next one.
    window = [
        [
            ahead * moves[facing] + right * moves[(facing + 1) % 4]
            for ahead, right in seen
        ]
        for facing in range(4)
    ]
    parts = [4] * len(seen) + [4, width, height, width, height, 2, 2]
    columns, rows = columns - margin, rows - margin
    return Board(
        stride=stride,
        front=front,
        back=back,
        side=side,
        columns=columns,
        rows=rows,
        moves=moves,
        window=np.array(window),
        offsets=np.concatenate([[0], np.cumsum(parts)[:-1]]),
        hashes=python_sets.hashes_of(
            list(zip(columns.tolist(), rows.tolist(), strict=True))
        ),
    )


def cell_numbers(board: Board, width: int, height: int) -> dict[Coord, int]:
    """Return the cell of each coordinate of the grid."""
    return {
        (x, y): cell
        for cell, (x, y) in enumerate(
            zip(board.columns.tolist(), board.rows.tolist(), strict=True)
        )
        if 0 <= x < width and 0 <= y < height
    }


def make_walls(board: Board, cells: dict[Coord, int], blocks: Iterable[Coord]) -> Bytes:
    """Return where there are walls: outside of the grid, and blocks."""
    walls = np.ones(len(board.columns), np.int8)
    walls[list(cells.values())] = 0
    walls[[cells[block] for block in blocks]] = 1
    return walls


def make_world(env: Any) -> World:
    """Return the compiled form of a Driving environment.

    Raises
    ------
    UnsupportedError
        If vehicles may start where they cannot reach a destination, which POSGGym
        answers with a KeyError in the middle of training.
    """
    grid = env.model.grid
    agents = len(env.possible_agents)
    board = make_board(grid.width, grid.height, env.model.obs_dim)
    cells = cell_numbers(board, grid.width, grid.height)
    dests = sorted(grid.shortest_paths)
    distances = np.full((len(dests), len(board.columns)), -1)
    dest_rows = np.full(len(board.columns), -1)
    for row, dest in enumerate(dests):
        dest_rows[cells[dest]] = row
        for coord, distance in grid.shortest_paths[dest].items():
            distances[row, cells[coord]] = distance
    starts = set().union(*grid.start_coords)
    if (distances[:, [cells[start] for start in starts]] < 0).any():
        raise UnsupportedError("a start of the grid has no way to a destination")
    length = python_sets.set_length(
        max(map(len, [*grid.start_coords, *grid.dest_coords]))
    )
    params = DrivingParams(
        board=board,
        walls=make_walls(board, cells, grid.block_coords),
        dest_rows=dest_rows,
        distances=distances,
        starts=_sets(grid.start_coords[:agents], cells, length),
        dests=_sets(grid.dest_coords[:agents], cells, length),
    )

    def make_state(num_envs: int) -> DrivingState:
        return DrivingState(
            rng=np.zeros((num_envs, python_random.SIZE), np.uint32),
            vehicles=np.zeros((num_envs, agents, NUM_COLUMNS), np.int64),
            order=np.zeros((num_envs, agents), np.int64),
            sets=np.zeros((num_envs, NUM_SETS, length), np.int64),
        )

    return World.of(env, params, make_state)


def _sets(sets: list[set[Coord]], cells: dict[Coord, int], length: int) -> Integers:
    return np.stack([python_sets.set_of(s, cells, length) for s in sets])


# --- what Driving and DrivingGen share ------------------------------------------------


@lean_helper
def place_vehicle(
    rng: Any, board: Board, starts: Integers, dests: Integers, sets: Integers, v: Any
) -> None:
    """Draw start and destination of a vehicle, apart from those drawn before."""
    start, dest = draw_way(rng, board.hashes, starts, dests, sets)
    v[CELL] = start
    v[FACING] = 0
    v[SPEED] = STOPPED
    v[DEST] = dest
    v[REACHED] = 0
    v[CRASHED] = 0


@lean_helper
def set_distance(v: Any, row: int, distances: Integers) -> None:
    """Set the distances of a vehicle that begins."""
    v[DEST_ROW] = row
    v[INIT_DIST] = distances[row, v[CELL]]
    v[MIN_DIST] = v[INIT_DIST]


@lean_helper
def next_speed(action: int, speed: int) -> int:
    """Return the speed after an action."""
    if action == ACCELERATE:
        return min(speed + 1, FAST)
    if action == DECELERATE:
        return max(speed - 1, REVERSE)
    if action == DO_NOTHING or speed != FAST:
        return speed
    return SLOW


@lean_helper
def drive(
    board: Board, walls: Bytes, distances: Integers, vehicles: Any, i: int, action: int
) -> None:
    """Drive one vehicle, which may crash into another."""
    v = vehicles[i]
    speed = next_speed(action, v[SPEED])
    facing = v[FACING]
    if speed == REVERSE:
        move = board.moves[(facing + 2) & 3]
    else:
        if action == TURN_RIGHT:
            facing = (facing + 1) & 3
        elif action == TURN_LEFT:
            facing = (facing - 1) & 3
        move = board.moves[facing]
    cell = v[CELL]
    crashed = False
    for _ in range(abs(speed - STOPPED)):
        ahead = cell + move
        if walls[ahead]:
            break
        for j in range(len(vehicles)):
            if j != i and vehicles[j, CELL] == ahead:
                vehicles[j, CRASHED] = 1
                crashed = True
        if crashed:
            break
        cell = ahead
    if cell == v[CELL]:
        speed = STOPPED
    v[MIN_DIST] = min(v[MIN_DIST], distances[v[DEST_ROW], cell])
    v[REACHED] = cell == v[DEST]
    v[CRASHED] = crashed
    v[CELL] = cell
    v[FACING] = facing
    v[SPEED] = speed


@lean_helper
def step_vehicles(
    board: Board,
    walls: Bytes,
    distances: Integers,
    rng: Any,
    vehicles: Any,
    order: Integers,
    actions: Integers,
    rewards: Any,
    terminated: Any,
) -> bool:
    """Play a joint step: vehicles drive one after the other, in a random order."""
    agents = len(vehicles)
    for i in range(agents):
        order[i] = i
        vehicles[i, WAS_OVER] = vehicles[i, REACHED] | vehicles[i, CRASHED]
        vehicles[i, OLD_MIN_DIST] = vehicles[i, MIN_DIST]
    python_random.shuffle(rng, order)
    for n in range(agents):
        i = order[n]
        if not (vehicles[i, REACHED] or vehicles[i, CRASHED]):
            drive(board, walls, distances, vehicles, i, actions[i])
    all_done = True
    for i in range(agents):
        v = vehicles[i]
        reward = 0.0
        if not v[WAS_OVER]:
            if v[CRASHED]:
                reward = -1.0
            elif v[REACHED]:
                reward = 0.5
        progress = v[OLD_MIN_DIST] - v[MIN_DIST]
        if progress > 0:
            reward += 0.5 * (progress / v[INIT_DIST])
        rewards[i] = reward
        over = v[REACHED] != 0 or v[CRASHED] != 0
        terminated[i] = over
        all_done = all_done and over
    return all_done


@lean_helper
def window_index(board: Board, v: Any, cell: int) -> int:
    """Return the number of a cell among those that a vehicle sees, or -1."""
    right = board.columns[cell] - board.columns[v[CELL]]
    ahead = board.rows[v[CELL]] - board.rows[cell]
    if v[FACING] == 1:
        right, ahead = -ahead, right
    elif v[FACING] == 2:
        right, ahead = -right, -ahead
    elif v[FACING] == 3:
        right, ahead = ahead, -right
    if -board.back <= ahead <= board.front and abs(right) <= board.side:
        return (board.front - ahead) * (2 * board.side + 1) + board.side + right
    return -1


@lean_helper
def look(board: Board, walls: Bytes, vehicles: Any, agent: int, out: Any) -> None:
    """Write the observation of an agent."""
    v = vehicles[agent]
    window = board.window[v[FACING]]
    seen = len(window)
    for k in range(seen):
        out[k] = 4 * k + (WALL if walls[v[CELL] + window[k]] else EMPTY)
    k = window_index(board, v, v[DEST])
    if k >= 0 and not walls[v[DEST]]:
        out[k] = 4 * k + DESTINATION
    for j in range(len(vehicles)):
        k = window_index(board, v, vehicles[j, CELL])
        if k >= 0 and not walls[vehicles[j, CELL]]:
            out[k] = 4 * k + VEHICLE
    offsets = board.offsets[seen:]
    out[seen] = offsets[0] + v[SPEED]
    out[seen + 1] = offsets[1] + board.columns[v[CELL]]
    out[seen + 2] = offsets[2] + board.rows[v[CELL]]
    out[seen + 3] = offsets[3] + board.columns[v[DEST]]
    out[seen + 4] = offsets[4] + board.rows[v[DEST]]
    out[seen + 5] = offsets[5] + v[REACHED]
    out[seen + 6] = offsets[6] + v[CRASHED]


# --- Driving ------------------------------------------------------------------------


@implements(seed, DrivingParams, lean=True)
def _seed(params: DrivingParams, state: DrivingState, env: int, value: Any) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, DrivingParams, lean=True)
def _reset(params: DrivingParams, state: DrivingState, env: int) -> None:
    sets = state.sets[env]
    clear_ways(sets)
    for i in range(state.vehicles.shape[1]):
        v = state.vehicles[env, i]
        place_vehicle(
            state.rng[env], params.board, params.starts[i], params.dests[i], sets, v
        )
        set_distance(v, params.dest_rows[v[DEST]], params.distances)


@implements(step, DrivingParams, lean=True)
def _step(
    params: DrivingParams,
    state: DrivingState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    return step_vehicles(
        params.board,
        params.walls,
        params.distances,
        state.rng[env],
        state.vehicles[env],
        state.order[env],
        actions,
        rewards,
        terminated,
    )


@implements(observe, DrivingParams, lean=True)
def _observe(
    params: DrivingParams, state: DrivingState, env: int, agent: int, out: Any
) -> None:
    look(params.board, params.walls, state.vehicles[env], agent, out)
