"""PredatorPrey: predators that surround prey, which flee and wander.

Source: `posggym.envs.grid_world.predator_prey`.
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
from posggym_compiled.random import python_random, python_sets
from posggym_compiled.worlds.grid.core import (
    DIRECTIONS,
    Cells,
    make_cells,
    marked,
    number,
    numbers,
)

EMPTY, WALL, PREDATOR, PREY = range(4)
# Farther than any cell.
NOWHERE = 1 << 40
# Columns of a prey's state: its cell before the step and now (-1 while undecided), and
# whether it was caught before the step and is now.
OLD_CELL, CELL, WAS_CAUGHT, CAUGHT = range(4)


class PredatorPreyParams(NamedTuple):
    """Constants of PredatorPrey.

    Parameters
    ----------
    cells
        The grid.
    walls
        Shape (rows, columns): where there is a wall, on a map with a margin of
        `obs_dim` walls.
    predator_starts
        Cells where predators start.
    prey_starts
        Cells where prey starts, as a Python set.
    hashes
        Shape (cells,): Python's hashes of the coordinates.
    obs_dim
        Cells in each direction that predators and prey see.
    strength
        Predators that it takes to catch a prey.
    cooperative
        Whether all predators get the reward.
    prey_reward
        Reward for a prey.
    """

    cells: Cells
    walls: npt.NDArray[np.int8]
    predator_starts: Integers
    prey_starts: Integers
    hashes: Integers
    obs_dim: int
    strength: int
    cooperative: bool
    prey_reward: float


class PredatorPreyState(NamedTuple):
    """State of PredatorPrey; the first dimension is the environments.

    Parameters
    ----------
    rng
        uint32 (n, 625): Python's random generators.
    predators
        int64 (n, predators): cells.
    prey
        int64 (n, prey, columns).
    next_predators
        int64 (n, predators): scratch.
    occupied
        bool (n, cells): scratch.
    listed
        int64 (n, k): scratch for drawing.
    prey_set
        int64 (n, length): scratch.
    """

    rng: npt.NDArray[np.uint32]
    predators: Integers
    prey: Integers
    next_predators: Integers
    occupied: npt.NDArray[np.bool_]
    listed: Integers
    prey_set: Integers


def make_world(env: Any) -> World:
    """Return the compiled form of a PredatorPrey environment.

    Raises
    ------
    UnsupportedError
        If the grid has too few starts, or a cell without neighbours: POSGGym fails
        there in the middle of an episode.
    """
    model = env.model
    grid = model.grid
    cells = make_cells(grid)
    free = set(grid.prey_start_coords) - set(grid.predator_start_coords)
    if len(free) < model.num_prey:
        raise UnsupportedError("prey and predators have too few places to start")
    if len(grid.predator_start_coords) < model.num_predators:
        raise UnsupportedError("predators have too few places to start")
    if (cells.num_neighbours[numbers(grid, grid.unblocked_coords)] < 1).any():
        raise UnsupportedError("a cell of the grid has no neighbours")
    coords = list(zip(cells.x.tolist(), cells.y.tolist(), strict=True))
    length = python_sets.set_length(len(grid.prey_start_coords))
    prey_starts = set(grid.prey_start_coords)
    blocks = marked(grid, grid.block_coords).reshape(grid.height, grid.width)
    params = PredatorPreyParams(
        cells=cells,
        walls=np.pad(blocks, model.obs_dim, constant_values=True).astype(np.int8),
        predator_starts=numbers(grid, grid.predator_start_coords),
        prey_starts=python_sets.set_of(
            prey_starts, {coord: number(grid, coord) for coord in coords}, length
        ),
        hashes=python_sets.hashes_of(coords),
        obs_dim=int(model.obs_dim),
        strength=int(model.prey_strength),
        cooperative=bool(model.cooperative),
        prey_reward=float(model._per_prey_reward),
    )
    longest = max(len(params.predator_starts), length, model.num_prey)

    def make_state(num_envs: int) -> PredatorPreyState:
        return PredatorPreyState(
            rng=np.zeros((num_envs, python_random.SIZE), np.uint32),
            predators=np.zeros((num_envs, model.num_predators), np.int64),
            prey=np.zeros((num_envs, model.num_prey, 4), np.int64),
            next_predators=np.zeros((num_envs, model.num_predators), np.int64),
            occupied=np.zeros((num_envs, len(cells.x)), np.bool_),
            listed=np.zeros((num_envs, longest), np.int64),
            prey_set=np.zeros((num_envs, length), np.int64),
        )

    return World.of(env, params, make_state)


@lean_helper
def distance(cells: Cells, a: int, b: int) -> int:
    """Return the Manhattan distance of two cells."""
    return abs(cells.x[a] - cells.x[b]) + abs(cells.y[a] - cells.y[b])


@lean_helper
def is_available(params: PredatorPreyParams, occupied: Any, cell: int) -> bool:
    """Return whether prey may flee to a cell: predators could surround it there.

    POSGGym removes occupied neighbours from the list over which it runs, so it skips
    the one after each of them.
    """
    if occupied[cell]:
        return False
    count = params.cells.num_neighbours[cell]
    left, k = count, 0
    while k < count:
        if occupied[params.cells.neighbours[cell, k]]:
            left -= 1
            k += 1
        k += 1
    return left >= params.strength


@lean_helper
def flee(params: PredatorPreyParams, occupied: Any, own: int, other: int) -> int:
    """Return the available cell farthest from another one, or -1 if that is too far.

    Among equals it is the one with the largest coordinates.
    """
    cells = params.cells
    if (
        abs(cells.x[own] - cells.x[other]) > params.obs_dim
        and abs(cells.y[own] - cells.y[other]) > params.obs_dim
    ):
        return -1
    best, farthest = own, distance(cells, own, other)
    for k in range(cells.num_neighbours[own]):
        cell = cells.neighbours[own, k]
        far = distance(cells, cell, other)
        if far < farthest:
            continue
        larger = cells.x[cell] > cells.x[best] or (
            cells.x[cell] == cells.x[best] and cells.y[cell] > cells.y[best]
        )
        if (far > farthest or larger) and is_available(params, occupied, cell):
            best, farthest = cell, far
    return best


@lean_helper
def closest_predator(
    params: PredatorPreyParams, state: PredatorPreyState, env: int, cell: int
) -> int:
    """Draw the cell of one of the closest predators."""
    least, count = NOWHERE, 0
    for i in range(state.predators.shape[1]):
        far = distance(params.cells, cell, state.predators[env, i])
        if far < least:
            least, count = far, 0
        if far == least:
            state.listed[env, count] = state.predators[env, i]
            count += 1
    return state.listed[env, python_random.randbelow(state.rng[env], count)]


@lean_helper
def closest_prey(
    params: PredatorPreyParams, state: PredatorPreyState, env: int, cell: int
) -> int:
    """Draw the cell of one of the closest other prey."""
    least, count = NOWHERE, 0
    prey = state.prey[env]
    for i in range(len(prey)):
        far = NOWHERE
        if prey[i, OLD_CELL] != cell and not prey[i, WAS_CAUGHT]:
            far = distance(params.cells, cell, prey[i, OLD_CELL])
        if far < least:
            least, count = far, 0
        if far == least:
            state.listed[env, count] = prey[i, OLD_CELL]
            count += 1
    return state.listed[env, python_random.randbelow(state.rng[env], count)]


@lean_helper
def wander(
    params: PredatorPreyParams, state: PredatorPreyState, env: int, cell: int
) -> int:
    """Draw the cell to which prey goes that sees nobody."""
    count = 0
    for k in range(params.cells.num_neighbours[cell]):
        near = params.cells.neighbours[cell, k]
        if params.obs_dim > 1 or not state.occupied[env, near]:
            state.listed[env, count] = near
            count += 1
    if count == 0:
        return cell
    return state.listed[env, python_random.randbelow(state.rng[env], count)]


@lean_helper
def move_prey(params: PredatorPreyParams, state: PredatorPreyState, env: int) -> None:
    """Move all prey: from predators first, then from prey, then anywhere."""
    prey, occupied = state.prey[env], state.occupied[env]
    occupied[:] = False
    for i in range(state.predators.shape[1]):
        occupied[state.predators[env, i]] = True
    at_large = 0
    for i in range(len(prey)):
        prey[i, OLD_CELL] = prey[i, CELL]
        prey[i, WAS_CAUGHT] = prey[i, CAUGHT]
        if not prey[i, CAUGHT]:
            at_large += 1
            occupied[prey[i, CELL]] = True
            prey[i, CELL] = -1
    for stage in range(3):
        if stage == 1 and at_large <= 1:
            continue
        for i in range(len(prey)):
            if prey[i, CELL] >= 0:
                continue
            old = prey[i, OLD_CELL]
            if stage == 0:
                other = closest_predator(params, state, env, old)
                cell = flee(params, occupied, old, other)
            elif stage == 1:
                other = closest_prey(params, state, env, old)
                cell = flee(params, occupied, old, other)
            else:
                cell = wander(params, state, env, old)
            prey[i, CELL] = cell
            if cell >= 0 and (stage < 2 or params.obs_dim == 1):
                occupied[old] = False
                occupied[cell] = True


@lean_helper
def move_predators(
    params: PredatorPreyParams, state: PredatorPreyState, env: int, actions: Any
) -> None:
    """Move predators; those that want the same cell stay."""
    predators, wanted = state.predators[env], state.next_predators[env]
    prey = state.prey[env]
    for i in range(len(predators)):
        wanted[i] = predators[i]
        if actions[i] != 0:
            cell = params.cells.moves[predators[i], DIRECTIONS[actions[i] - 1]]
            free = True
            for k in range(len(prey)):
                if not prey[k, WAS_CAUGHT] and prey[k, CELL] == cell:
                    free = False
            if free:
                wanted[i] = cell
    for i in range(len(predators)):
        alone = True
        for j in range(len(predators)):
            if j != i and wanted[i] == wanted[j]:
                alone = False
        if alone:
            predators[i] = wanted[i]


@lean_helper
def predator_at(predators: Any, cell: int) -> int:
    """Return the first predator on a cell, or -1."""
    for i in range(len(predators)):
        if predators[i] == cell:
            return i
    return -1


@lean_helper
def share_reward(
    params: PredatorPreyParams, predators: Any, cell: int, rewards: Any
) -> None:
    """Divide the reward of a prey among the predators that stand next to it."""
    neighbours = params.cells.neighbours[cell]
    count = params.cells.num_neighbours[cell]
    involved = 0
    for k in range(count):
        involved += predator_at(predators, neighbours[k]) >= 0
    for k in range(count):
        i = predator_at(predators, neighbours[k])
        if i >= 0:
            rewards[i] += params.prey_reward / involved


@implements(seed, PredatorPreyParams, lean=True)
def _seed(
    params: PredatorPreyParams, state: PredatorPreyState, env: int, value: Any
) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, PredatorPreyParams, lean=True)
def _reset(params: PredatorPreyParams, state: PredatorPreyState, env: int) -> None:
    rng, listed, prey_set = state.rng[env], state.listed[env], state.prey_set[env]
    starts = listed[: len(params.predator_starts)]
    for i in range(len(starts)):
        starts[i] = params.predator_starts[i]
    python_random.shuffle(rng, starts)
    for i in range(len(prey_set)):
        prey_set[i] = params.prey_starts[i]
    for i in range(state.predators.shape[1]):
        state.predators[env, i] = starts[i]
        python_sets.discard(prey_set, params.hashes, starts[i])
    python_sets.drop_dummies(prey_set, params.hashes)
    count = python_sets.elements(prey_set, listed)
    python_random.shuffle(rng, listed[:count])
    for i in range(state.prey.shape[1]):
        prey = state.prey[env, i]
        prey[OLD_CELL] = prey[CELL] = listed[i]
        prey[WAS_CAUGHT] = prey[CAUGHT] = 0


@implements(step, PredatorPreyParams, lean=True)
def _step(
    params: PredatorPreyParams,
    state: PredatorPreyState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    move_prey(params, state, env)
    move_predators(params, state, env, actions)
    predators, prey = state.predators[env], state.prey[env]
    caught, all_done = 0, True
    rewards[:] = 0.0
    for k in range(len(prey)):
        if prey[k, WAS_CAUGHT]:
            continue
        near = 0
        for i in range(len(predators)):
            near += distance(params.cells, prey[k, CELL], predators[i]) <= 1
        if near < params.strength:
            all_done = False
            continue
        prey[k, CAUGHT] = 1
        caught += 1
        if not params.cooperative:
            share_reward(params, predators, prey[k, CELL], rewards)
    if params.cooperative:
        rewards[:] = caught * params.prey_reward
    terminated[:] = all_done
    return all_done


@lean_helper
def place_in_view(params: PredatorPreyParams, own: int, cell: int) -> int:
    """Return the number of a cell among those that a predator sees, or -1."""
    reach = params.obs_dim
    right = params.cells.x[cell] - params.cells.x[own]
    down = params.cells.y[cell] - params.cells.y[own]
    if abs(right) > reach or abs(down) > reach:
        return -1
    return (down + reach) * (2 * reach + 1) + right + reach


@implements(observe, PredatorPreyParams, lean=True)
def _observe(
    params: PredatorPreyParams,
    state: PredatorPreyState,
    env: int,
    agent: int,
    out: Any,
) -> None:
    own, prey = state.predators[env, agent], state.prey[env]
    x, y = params.cells.x[own], params.cells.y[own]
    side = 2 * params.obs_dim + 1
    for row in range(side):
        for column in range(side):
            k = row * side + column
            out[k] = 4 * k + params.walls[y + row, x + column]
    for i in range(len(prey)):
        k = place_in_view(params, own, prey[i, CELL])
        # Prey that was caught in this step is still seen.
        if k >= 0 and not prey[i, WAS_CAUGHT]:
            out[k] = 4 * k + PREY
    for i in range(state.predators.shape[1]):
        k = place_in_view(params, own, state.predators[env, i])
        if k >= 0:
            out[k] = 4 * k + PREDATOR
