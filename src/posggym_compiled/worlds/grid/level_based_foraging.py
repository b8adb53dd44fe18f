"""LevelBasedForaging: agents load food whose level theirs reach together.

Source: `posggym.envs.grid_world.level_based_foraging`.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from posggym_compiled.interface import (
    Integers,
    OneHot,
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
from posggym_compiled.worlds.grid.core import DIRECTIONS, Cells, make_cells, numbers
from posggym_compiled.worlds.spaces import observation_spec

LOAD = 5
MAX_ATTEMPTS = 1000
# Layers of an observation that is an image.
AGENTS, FOOD, ACCESS = range(3)
# Columns of agents and of food, and of what else the state keeps.
CELL, LEVEL, NEXT_CELL = range(3)
NUM_FOOD, SPAWNED = range(2)


class LevelBasedForagingParams(NamedTuple):
    """Constants of LevelBasedForaging.

    Parameters
    ----------
    cells
        The grid.
    all_cells
        All cells in the order in which POSGGym lists them.
    agent_places, food_places
        Cells of a static layout; empty without.
    shifts
        Shape (numbers,): what is added to an observed number; for one-hot observations
        it gives the index of the one.
    max_level
        Highest level of an agent.
    max_food
        Most food.
    sight
        Cells in each direction that an agent sees.
    force_coop
        Whether all food takes three agents.
    sees_image
        Whether an observation is an image of the cells in sight instead of a list of
        agents and food.
    """

    cells: Cells
    all_cells: Integers
    agent_places: Integers
    food_places: Integers
    shifts: Integers
    max_level: int
    max_food: int
    sight: int
    force_coop: bool
    sees_image: bool


class LevelBasedForagingState(NamedTuple):
    """State of LevelBasedForaging; the first dimension is the environments.

    Parameters
    ----------
    rng
        uint32 (n, 625): Python's random generators.
    agents
        int64 (n, agents, 3).
    food
        int64 (n, max_food, 2); the first `NUM_FOOD` are there.
    more
        int64 (n, 2): number of food, and sum of levels at the beginning.
    listed
        int64 (n, cells): scratch for drawing.
    taken
        bool (n, cells): scratch.
    loading
        int64 (n, length): agents that load, as a Python set.
    hashes
        int64 (n, agents): Python's hashes of the agents.
    """

    rng: npt.NDArray[np.uint32]
    agents: Integers
    food: Integers
    more: Integers
    listed: Integers
    taken: npt.NDArray[np.bool_]
    loading: Integers
    hashes: Integers


def make_world(env: Any) -> World:
    """Return the compiled form of a LevelBasedForaging environment.

    Raises
    ------
    UnsupportedError
        If agents see farther than their observation space allows.
    """
    model = env.model
    agents, size = len(model.possible_agents), model.size
    spec = observation_spec(env.observation_spaces["0"])
    shifts = np.zeros(3 * (agents + model.max_food), np.int64)
    if isinstance(spec, OneHot):
        if model.sight + min(model.sight, size - 1) >= size:
            raise UnsupportedError(
                f"sight {model.sight} is more than observations of size {size} hold"
            )
        shifts = spec.offsets - spec.starts
    params = LevelBasedForagingParams(
        cells=make_cells(model.grid),
        all_cells=numbers(model.grid, itertools.product(range(size), range(size))),
        agent_places=numbers(model.grid, model._player_locations or []),
        food_places=numbers(model.grid, model._food_locations or []),
        shifts=shifts,
        max_level=int(model.max_agent_level),
        max_food=int(model.max_food),
        sight=int(model.sight),
        force_coop=bool(model.force_coop),
        sees_image=model.observation_mode == "grid",
    )

    def make_state(num_envs: int) -> LevelBasedForagingState:
        length = python_sets.set_length(agents)
        return LevelBasedForagingState(
            rng=np.zeros((num_envs, python_random.SIZE), np.uint32),
            agents=np.zeros((num_envs, agents, 3), np.int64),
            food=np.zeros((num_envs, model.max_food, 2), np.int64),
            more=np.zeros((num_envs, 2), np.int64),
            listed=np.zeros((num_envs, size**2), np.int64),
            taken=np.zeros((num_envs, size**2), np.bool_),
            loading=np.zeros((num_envs, length), np.int64),
            hashes=np.zeros((num_envs, agents), np.int64),
        )

    return World.of(env, params, make_state)


# --- beginning ------------------------------------------------------------------------


@lean_helper
def spawn_agents(
    params: LevelBasedForagingParams, state: LevelBasedForagingState, env: int
) -> None:
    """Draw the agents' levels and, without a static layout, cells."""
    rng, listed = state.rng[env], state.listed[env]
    count = len(listed)
    for i in range(count):
        listed[i] = params.all_cells[i]
    for i in range(state.agents.shape[1]):
        agent = state.agents[env, i]
        agent[LEVEL] = python_random.randint(rng, 1, params.max_level)
        if len(params.agent_places):
            agent[CELL] = params.agent_places[i]
            continue
        n = python_random.randbelow(rng, count)
        agent[CELL] = listed[n]
        count -= 1
        for k in range(n, count):
            listed[k] = listed[k + 1]


@lean_helper
def three_lowest(agents: Any) -> int:
    """Return the sum of the three lowest levels."""
    total = 0
    for i in range(len(agents)):
        before = 0
        for j in range(len(agents)):
            lower = agents[j, LEVEL] < agents[i, LEVEL]
            before += lower or (agents[j, LEVEL] == agents[i, LEVEL] and j < i)
        if before < 3:
            total += agents[i, LEVEL]
    return total


@lean_helper
def add_food(
    state: LevelBasedForagingState, env: int, cell: int, low: int, high: int
) -> None:
    """Put food with a level that is drawn where there is a choice."""
    n = state.more[env, NUM_FOOD]
    level = low
    if low != high:
        level = python_random.randint(state.rng[env], low, high)
    state.food[env, n, CELL] = cell
    state.food[env, n, LEVEL] = level
    state.more[env, NUM_FOOD] = n + 1
    state.more[env, SPAWNED] += level


@lean_helper
def spawn_food(
    params: LevelBasedForagingParams, state: LevelBasedForagingState, env: int
) -> None:
    """Draw food, at least one cell apart from other food."""
    rng, taken, size = state.rng[env], state.taken[env], params.cells.width
    high = three_lowest(state.agents[env])
    low = high if params.force_coop else 1
    state.more[env, NUM_FOOD] = state.more[env, SPAWNED] = 0
    if len(params.food_places):
        for i in range(len(params.food_places)):
            add_food(state, env, params.food_places[i], low, high)
        return
    taken[:] = False
    for i in range(state.agents.shape[1]):
        taken[state.agents[env, i, CELL]] = True
    for _ in range(MAX_ATTEMPTS):
        if state.more[env, NUM_FOOD] == params.max_food:
            break
        x = python_random.randint(rng, 1, size - 2)
        y = python_random.randint(rng, 1, size - 2)
        if taken[y * size + x]:
            continue
        for down in range(-1, 2):
            for right in range(-1, 2):
                taken[(y + down) * size + x + right] = True
        add_food(state, env, y * size + x, low, high)


# --- playing --------------------------------------------------------------------------


@lean_helper
def food_at(state: LevelBasedForagingState, env: int, cell: int) -> int:
    """Return the number of the food on a cell, or -1."""
    for n in range(state.more[env, NUM_FOOD]):
        if state.food[env, n, CELL] == cell:
            return n
    return -1


@lean_helper
def move_agents(
    params: LevelBasedForagingParams,
    state: LevelBasedForagingState,
    env: int,
    actions: Any,
) -> None:
    """Move agents; those that want the same cell stay. Note who loads."""
    agents, cells = state.agents[env], params.cells
    loading, hashes = state.loading[env], state.hashes[env]
    python_sets.clear(loading)
    for i in range(len(agents)):
        cell = agents[i, CELL]
        agents[i, NEXT_CELL] = cell
        if actions[i] == LOAD:
            place = python_sets.hash_pair(cells.x[cell], cells.y[cell])
            hashes[i] = python_sets.hash_triple(i, place, agents[i, LEVEL])
            python_sets.add(loading, hashes, i)
        elif actions[i] != 0:
            ahead = cells.moves[cell, DIRECTIONS[actions[i] - 1]]
            if food_at(state, env, ahead) < 0:
                agents[i, NEXT_CELL] = ahead
    for i in range(len(agents)):
        alone = True
        for j in range(len(agents)):
            if j != i and agents[i, NEXT_CELL] == agents[j, NEXT_CELL]:
                alone = False
        if alone:
            agents[i, CELL] = agents[i, NEXT_CELL]


@lean_helper
def load(
    params: LevelBasedForagingParams,
    state: LevelBasedForagingState,
    env: int,
    n: int,
    loaders: Integers,
    rewards: Any,
) -> None:
    """Let all who load from food do it, if their levels reach its level."""
    agents, food, cells = state.agents[env], state.food[env], params.cells
    cell, level, together = food[n, CELL], food[n, LEVEL], 0
    for k in range(len(loaders)):
        own = agents[loaders[k], CELL]
        if abs(cells.x[own] - cells.x[cell]) + abs(cells.y[own] - cells.y[cell]) == 1:
            together += agents[loaders[k], LEVEL]
    if together < level:
        return
    value = level / (together * state.more[env, SPAWNED])
    for k in range(len(loaders)):
        own = agents[loaders[k], CELL]
        if abs(cells.x[own] - cells.x[cell]) + abs(cells.y[own] - cells.y[cell]) == 1:
            rewards[loaders[k]] += agents[loaders[k], LEVEL] * value
    state.more[env, NUM_FOOD] -= 1
    for k in range(n, state.more[env, NUM_FOOD]):
        food[k, CELL] = food[k + 1, CELL]
        food[k, LEVEL] = food[k + 1, LEVEL]


@implements(seed, LevelBasedForagingParams, lean=True)
def _seed(
    params: LevelBasedForagingParams,
    state: LevelBasedForagingState,
    env: int,
    value: Any,
) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, LevelBasedForagingParams, lean=True)
def _reset(
    params: LevelBasedForagingParams, state: LevelBasedForagingState, env: int
) -> None:
    spawn_agents(params, state, env)
    spawn_food(params, state, env)


@implements(step, LevelBasedForagingParams, lean=True)
def _step(
    params: LevelBasedForagingParams,
    state: LevelBasedForagingState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    move_agents(params, state, env, actions)
    rewards[:] = 0.0
    count = python_sets.elements(state.loading[env], state.listed[env])
    loaders = state.listed[env, :count]
    for k in range(count):
        own = state.agents[env, loaders[k], CELL]
        for direction in range(params.cells.num_neighbours[own]):
            n = food_at(state, env, params.cells.neighbours[own, direction])
            if n >= 0:
                load(params, state, env, n, loaders, rewards)
    all_done = state.more[env, NUM_FOOD] == 0
    terminated[:] = all_done
    return all_done


@lean_helper
def in_view(params: LevelBasedForagingParams, own: int, cell: int) -> tuple[int, int]:
    """Return column and row of a cell in an agent's view; negative if it is outside."""
    cells, sight = params.cells, params.sight
    x = cells.x[cell] - cells.x[own] + sight
    y = cells.y[cell] - cells.y[own] + sight
    if 0 <= x <= 2 * sight and 0 <= y <= 2 * sight:
        return x, y
    return -1, -1


@lean_helper
def put(
    params: LevelBasedForagingParams, own: int, other: Any, place: int, out: Any
) -> bool:
    """Write an entity's place and level if an agent sees it, and return whether."""
    x, y = in_view(params, own, other[CELL])
    if x < 0:
        return False
    out[place] = params.shifts[place] + x
    out[place + 1] = params.shifts[place + 1] + y
    out[place + 2] = params.shifts[place + 2] + other[LEVEL]
    return True


@lean_helper
def list_entities(
    params: LevelBasedForagingParams,
    state: LevelBasedForagingState,
    env: int,
    agent: int,
    out: Any,
) -> None:
    """Write the agents, the one that looks first, and the food that it sees."""
    agents, own = state.agents[env], state.agents[env, agent, CELL]
    for place in range(0, len(out), 3):
        out[place] = params.shifts[place] - 1
        out[place + 1] = params.shifts[place + 1] - 1
        out[place + 2] = params.shifts[place + 2]
    put(params, own, agents[agent], 0, out)
    for i in range(len(agents)):
        if i != agent:
            put(params, own, agents[i], 3 * i if i > agent else 3 * (i + 1), out)
    place = 3 * len(agents)
    for n in range(state.more[env, NUM_FOOD]):
        if put(params, own, state.food[env, n], place, out):
            place += 3


@lean_helper
def paint_entity(
    params: LevelBasedForagingParams, own: int, other: Any, layer: int, out: Any
) -> None:
    """Write the level of an entity that an agent sees, and that its cell is taken."""
    width = 2 * params.sight + 1
    x, y = in_view(params, own, other[CELL])
    if x >= 0:
        out[(layer * width + x) * width + y] = other[LEVEL]
        out[(ACCESS * width + x) * width + y] = 0


@lean_helper
def paint(
    params: LevelBasedForagingParams,
    state: LevelBasedForagingState,
    env: int,
    own: int,
    out: Any,
) -> None:
    """Write the three layers of cells around an agent's own."""
    cells, sight = params.cells, params.sight
    size, width = cells.width, 2 * sight + 1
    for k in range(len(out)):
        out[k] = 0
    left, top = cells.x[own] - sight, cells.y[own] - sight
    # POSGGym leaves out the last column and row of the view.
    for x in range(max(-left, 0), min(size - left, width - 1)):
        for y in range(max(-top, 0), min(size - top, width - 1)):
            out[(ACCESS * width + x) * width + y] = 1
    for i in range(state.agents.shape[1]):
        paint_entity(params, own, state.agents[env, i], AGENTS, out)
    for n in range(state.more[env, NUM_FOOD]):
        paint_entity(params, own, state.food[env, n], FOOD, out)


@implements(observe, LevelBasedForagingParams, lean=True)
def _observe(
    params: LevelBasedForagingParams,
    state: LevelBasedForagingState,
    env: int,
    agent: int,
    out: Any,
) -> None:
    if params.sees_image:
        paint(params, state, env, state.agents[env, agent, CELL], out)
    else:
        list_entities(params, state, env, agent, out)
