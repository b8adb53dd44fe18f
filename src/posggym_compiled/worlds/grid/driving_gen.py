"""DrivingGen: Driving on grids that are generated from the seed.

Sources: `posggym.envs.grid_world.driving_gen`, and the generator of
`posggym.envs.grid_world.core`.
"""

from __future__ import annotations

import itertools
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
from posggym_compiled.worlds.grid.driving import (
    DEST,
    NUM_COLUMNS,
    Board,
    Bytes,
    cell_numbers,
    look,
    make_board,
    make_walls,
    place_vehicle,
    set_distance,
    step_vehicles,
)
from posggym_compiled.worlds.ways import NUM_SETS, clear_ways

# Generators of the model, of grids, and of the order of grids.
MODEL, GRIDS, CYCLE = range(3)
# Sets of cells: those not yet explored, and two components.
TO_EXPLORE, JOINED, OTHER = range(3)
# Which grid of the cycle comes next, and which one is played.
NEXT, CURRENT = range(2)


class DrivingGenParams(NamedTuple):
    """Constants of DrivingGen.

    Parameters
    ----------
    board
        Geometry.
    free
        Shape (cells,): walls of a grid without blocks.
    grid_cells
        Cells of the grid in the order in which POSGGym lists them.
    mask
        Cells where vehicles start and go, as a Python set.
    is_masked
        Shape (cells,): whether a cell is in the mask.
    size
        Width and height of the grid.
    max_obstacle_size, max_num_obstacles
        Of the generator.
    cycles
        Whether a number of grids comes again and again.
    shuffles
        Whether their order changes.
    """

    board: Board
    free: Bytes
    grid_cells: Integers
    mask: Integers
    is_masked: npt.NDArray[np.bool_]
    size: int
    max_obstacle_size: int
    max_num_obstacles: int
    cycles: bool
    shuffles: bool


class DrivingGenState(NamedTuple):
    """State of DrivingGen; the first dimension is the environments.

    Parameters
    ----------
    rng
        uint32 (n, 3, 625): Python's random generators.
    vehicles
        int64 (n, agents, columns).
    walls
        int8 (n, grids, cells).
    cycle
        int64 (n, grids): the order of grids.
    place
        int64 (n, 2): where in the cycle.
    distances
        int64 (n, agents, cells): steps to each agent's destination.
    order, sets, big_sets, cells, components, listed
        Scratch.
    """

    rng: npt.NDArray[np.uint32]
    vehicles: Integers
    walls: Bytes
    cycle: Integers
    place: Integers
    distances: Integers
    order: Integers
    sets: Integers
    big_sets: Integers
    cells: Integers
    components: Integers
    listed: Integers


def make_world(env: Any) -> World:
    """Return the compiled form of a DrivingGen environment.

    Raises
    ------
    UnsupportedError
        If the grid is not square, for which POSGGym's generator lists wrong cells.
    """
    generator, grid = env.unwrapped._gen, env.model.grid
    n_grids, agents = env.unwrapped._n_grids, len(env.possible_agents)
    if grid.width != grid.height:
        raise UnsupportedError("grids that are not square are not compiled")
    board = make_board(grid.width, grid.height, env.model.obs_dim)
    numbers = cell_numbers(board, grid.width, grid.height)
    length = python_sets.set_length(len(generator.mask))
    is_masked = np.zeros(len(board.columns), np.bool_)
    is_masked[[numbers[coord] for coord in generator.mask]] = True
    coords = itertools.product(range(grid.width), range(grid.width))
    params = DrivingGenParams(
        board=board,
        free=make_walls(board, numbers, []),
        grid_cells=np.array([numbers[coord] for coord in coords]),
        mask=python_sets.set_of(generator.mask, numbers, length),
        is_masked=is_masked,
        size=int(grid.width),
        max_obstacle_size=int(generator.max_obstacle_size),
        max_num_obstacles=int(generator.max_num_obstacles),
        cycles=n_grids is not None,
        shuffles=bool(env.unwrapped._shuffle_grid_order),
    )
    cells, grids, inside = len(board.columns), n_grids or 1, len(params.grid_cells)

    def make_state(num_envs: int) -> DrivingGenState:
        big = python_sets.set_length(inside)
        return DrivingGenState(
            rng=np.zeros((num_envs, 3, python_random.SIZE), np.uint32),
            vehicles=np.zeros((num_envs, agents, NUM_COLUMNS), np.int64),
            walls=np.zeros((num_envs, grids, cells), np.int8),
            cycle=np.zeros((num_envs, grids), np.int64),
            place=np.zeros((num_envs, 2), np.int64),
            distances=np.zeros((num_envs, agents, cells), np.int64),
            order=np.zeros((num_envs, agents), np.int64),
            sets=np.zeros((num_envs, NUM_SETS, length), np.int64),
            big_sets=np.zeros((num_envs, 3, big), np.int64),
            cells=np.zeros((num_envs, inside + 1), np.int64),
            components=np.zeros((num_envs, 2, inside + 1), np.int64),
            listed=np.zeros((num_envs, 2, inside), np.int64),
        )

    return World.of(env, params, make_state)


# --- generating grids -----------------------------------------------------------------


@lean_helper
def add_obstacle(params: DrivingGenParams, rng: Any, walls: Any) -> None:
    """Draw a rectangle, and build it if it leaves the mask free."""
    height = python_random.randint(rng, 1, params.max_obstacle_size)
    width = python_random.randint(rng, 1, params.max_obstacle_size)
    x = python_random.randint(rng, 0, params.size - 1)
    y = python_random.randint(rng, 0, params.size - 1)
    right, bottom = min(x + width, params.size), min(y + height, params.size)
    for column in range(x, right):
        for row in range(y, bottom):
            if params.is_masked[params.grid_cells[column * params.size + row]]:
                return
    for column in range(x, right):
        for row in range(y, bottom):
            walls[params.grid_cells[column * params.size + row]] = 1


@lean_helper
def find_components(
    params: DrivingGenParams, state: DrivingGenState, env: int, walls: Any
) -> int:
    """Find the connected parts of a grid, and return their number.

    `state.cells` gets the cells of one part after the other, in the order in which
    POSGGym adds them to its set; `state.components` where each begins, and how far
    its closest cell is from the first cell of the grid.
    """
    board, cells = params.board, state.cells[env]
    begins, nearest = state.components[env, 0], state.components[env, 1]
    to_explore = state.big_sets[env, TO_EXPLORE]
    python_sets.clear(to_explore)
    left = 0
    for i in range(len(params.grid_cells)):
        if not walls[params.grid_cells[i]]:
            python_sets.add(to_explore, board.hashes, params.grid_cells[i])
            left += 1
    count, found = 0, 0
    while found < left:
        begins[count] = found
        nearest[count] = 2 * params.size
        cells[found] = python_sets.pop(to_explore)
        next_cell = found
        found += 1
        while next_cell < found:
            cell = cells[next_cell]
            next_cell += 1
            far = board.columns[cell] + board.rows[cell]
            nearest[count] = min(nearest[count], far)
            for direction in range(4):
                near = cell + board.moves[direction]
                if walls[near]:
                    continue
                if python_sets.contains(to_explore, board.hashes, near):
                    python_sets.discard(to_explore, board.hashes, near)
                    cells[found] = near
                    found += 1
        count += 1
    begins[count] = found
    return count


@lean_helper
def take_nearest(
    params: DrivingGenParams, state: DrivingGenState, env: int, count: int, out: Any
) -> None:
    """Make a set of the part nearest to the first cell that is not yet taken."""
    begins, nearest = state.components[env, 0], state.components[env, 1]
    best = -1
    for k in range(count):
        if nearest[k] >= 0 and (best < 0 or nearest[k] < nearest[best]):
            best = k
    nearest[best] = -1
    python_sets.clear(out)
    for i in range(begins[best], begins[best + 1]):
        python_sets.add(out, params.board.hashes, state.cells[env, i])


@lean_helper
def closest_pair(
    params: DrivingGenParams, state: DrivingGenState, env: int
) -> tuple[int, int]:
    """Return the first closest cells of the joined parts and of the other one."""
    board = params.board
    ones, others = state.listed[env, 0], state.listed[env, 1]
    num_ones = python_sets.elements(state.big_sets[env, JOINED], ones)
    num_others = python_sets.elements(state.big_sets[env, OTHER], others)
    least, one, other = params.size * params.size, 0, 0
    for i in range(num_ones):
        for j in range(num_others):
            far = abs(board.columns[ones[i]] - board.columns[others[j]])
            far += abs(board.rows[ones[i]] - board.rows[others[j]])
            if far < least:
                least, one, other = far, ones[i], others[j]
    return one, other


@lean_helper
def find_path(
    board: Board, rng: Any, walls: Any, start: int, goal: int, path: Any
) -> int:
    """Write a direct path that avoids walls where it can, and return its length."""
    path[0] = cell = start
    count = 1
    while cell != goal:
        right = board.columns[goal] - board.columns[cell]
        down = board.rows[goal] - board.rows[cell]
        aside = cell + (board.moves[1] if right > 0 else board.moves[3])
        ahead = cell + (board.moves[2] if down > 0 else board.moves[0])
        if down == 0:
            cell = aside
        elif right == 0:
            cell = ahead
        elif walls[aside] == walls[ahead]:
            cell = ahead if python_random.randbelow(rng, 2) else aside
        else:
            cell = ahead if walls[aside] else aside
        path[count] = cell
        count += 1
    return count


@lean_helper
def generate(
    params: DrivingGenParams, state: DrivingGenState, env: int, walls: Any
) -> None:
    """Generate a grid all of whose cells can be reached."""
    rng, board = state.rng[env, GRIDS], params.board
    for cell in range(len(walls)):
        walls[cell] = params.free[cell]
    for _ in range(params.max_num_obstacles):
        add_obstacle(params, rng, walls)
    count = find_components(params, state, env, walls)
    joined, other = state.big_sets[env, JOINED], state.big_sets[env, OTHER]
    path = state.listed[env, 0]
    take_nearest(params, state, env, count, joined)
    for _ in range(count - 1):
        take_nearest(params, state, env, count, other)
        start, goal = closest_pair(params, state, env)
        steps = find_path(board, rng, walls, start, goal, path)
        python_sets.update(joined, board.hashes, other)
        for i in range(steps):
            walls[path[i]] = 0
            python_sets.add(joined, board.hashes, path[i])


@lean_helper
def next_grid(params: DrivingGenParams, state: DrivingGenState, env: int) -> None:
    """Go on to the next grid."""
    if not params.cycles:
        generate(params, state, env, state.walls[env, 0])
        return
    place, cycle = state.place[env], state.cycle[env]
    if place[NEXT] >= len(cycle):
        place[NEXT] = 0
        if params.shuffles:
            python_random.shuffle(state.rng[env, CYCLE], cycle)
    place[CURRENT] = cycle[place[NEXT]]
    place[NEXT] += 1


@lean_helper
def measure_distances(
    board: Board, walls: Any, dest: int, out: Any, queue: Any
) -> None:
    """Write the steps from each cell to a destination."""
    out[:] = -1
    out[dest] = 0
    queue[0] = dest
    first, last = 0, 1
    while first < last:
        cell = queue[first]
        first += 1
        for direction in range(4):
            near = cell + board.moves[direction]
            if not walls[near] and out[near] < 0:
                out[near] = out[cell] + 1
                queue[last] = near
                last += 1


# --- playing --------------------------------------------------------------------------


@implements(seed, DrivingGenParams, lean=True)
def _seed(
    params: DrivingGenParams, state: DrivingGenState, env: int, value: Any
) -> None:
    for which in range(3):
        python_random.seed_random(state.rng[env, which], value)
    state.place[env, NEXT] = state.place[env, CURRENT] = 0
    if params.cycles:
        for n in range(state.cycle.shape[1]):
            state.cycle[env, n] = n
            generate(params, state, env, state.walls[env, n])


@implements(reset, DrivingGenParams, lean=True)
def _reset(params: DrivingGenParams, state: DrivingGenState, env: int) -> None:
    next_grid(params, state, env)
    walls = state.walls[env, state.place[env, CURRENT]]
    rng, sets, board = state.rng[env, MODEL], state.sets[env], params.board
    clear_ways(sets)
    for i in range(state.vehicles.shape[1]):
        v, distances = state.vehicles[env, i], state.distances[env]
        place_vehicle(rng, board, params.mask, params.mask, sets, v)
        measure_distances(board, walls, v[DEST], distances[i], state.cells[env])
        set_distance(v, i, distances)


@implements(step, DrivingGenParams, lean=True)
def _step(
    params: DrivingGenParams,
    state: DrivingGenState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    return step_vehicles(
        params.board,
        state.walls[env, state.place[env, CURRENT]],
        state.distances[env],
        state.rng[env, MODEL],
        state.vehicles[env],
        state.order[env],
        actions,
        rewards,
        terminated,
    )


@implements(observe, DrivingGenParams, lean=True)
def _observe(
    params: DrivingGenParams, state: DrivingGenState, env: int, agent: int, out: Any
) -> None:
    walls = state.walls[env, state.place[env, CURRENT]]
    look(params.board, walls, state.vehicles[env], agent, out)
