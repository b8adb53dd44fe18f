"""Agents that go to food of their own choice, and load what is next to them.

Source: `posggym.agents.grid_world.level_based_foraging.heuristic`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from posggym_compiled.interface import Integers, UnsupportedError, World, implements
from posggym_compiled.jit import lean_helper
from posggym_compiled.networks import Vector
from posggym_compiled.partners.kinds import Heuristic, choose
from posggym_compiled.partners.rules import equally, numbered, part, shifts_of
from posggym_compiled.random import python_random

NUM_ACTIONS = 6
NONE, NORTH, SOUTH, WEST, EAST, LOAD = range(NUM_ACTIONS)
H1, H2, H3, H4, H5 = range(1, 6)
# What an agent remembers.
HAS_TARGET, TARGET_X, TARGET_Y, LAST_ACTION = range(4)
# Higher than any.
NO_LEVEL = 1 << 30


class Field(NamedTuple):
    """What agents look up.

    Parameters
    ----------
    agents, food
        Triplets (x, y, level) of an observation: of the agents, the own one first, and
        then of food.
    shifts
        See `rules.shifts_of`.
    listed
        Scratch: numbers of food.
    weights
        Scratch.
    """

    agents: int
    food: int
    shifts: Integers
    listed: Integers
    weights: Vector


def heuristic(entry: Any, config: Mapping[str, Any]) -> Heuristic | None:
    """Return the compiled form of a policy class if it is one of H1 to H5."""
    from posggym.agents.grid_world.level_based_foraging import heuristic as module

    return numbered(entry, module, "LBFHeuristic")


def make_tables(world: World) -> Field:
    """Return what agents look up.

    Raises
    ------
    UnsupportedError
        If observations are images, which POSGGym's heuristics do not understand.
    """
    if world.params.sees_image:
        raise UnsupportedError("heuristics do not understand observation_mode 'grid'")
    food = int(world.params.max_food)
    return Field(
        agents=world.num_agents,
        food=food,
        shifts=shifts_of(world.observations[0]),
        listed=np.zeros(food, np.int64),
        weights=np.zeros(NUM_ACTIONS),
    )


@lean_helper
def _number(tables: Field, x: Any, triplet: int, k: int) -> int:
    return part(x, tables.shifts, 3 * triplet + k)


@lean_helper
def _take(tables: Field, x: Any, count: int, memory: Integers, rng: Any) -> None:
    """Draw the target from the food that is listed; without any there is none."""
    memory[HAS_TARGET] = count > 0
    if count:
        food = tables.listed[python_random.randbelow(rng, count)]
        memory[TARGET_X] = _number(tables, x, food, 0)
        memory[TARGET_Y] = _number(tables, x, food, 1)


@lean_helper
def _take_by_distance(
    tables: Field,
    x: Any,
    from_x: int,
    from_y: int,
    farthest: bool,
    max_level: int,
    memory: Integers,
    rng: Any,
) -> None:
    """Draw the target from the nearest, or farthest, food up to a level."""
    count, wanted = 0, 0
    for food in range(tables.agents, tables.agents + tables.food):
        food_x, food_y = _number(tables, x, food, 0), _number(tables, x, food, 1)
        if food_y == -1 or _number(tables, x, food, 2) > max_level:
            continue
        away = (from_x - food_x) ** 2 + (from_y - food_y) ** 2
        if count == 0 or (away > wanted if farthest else away < wanted):
            count, wanted = 0, away
        if away == wanted:
            tables.listed[count] = food
            count += 1
    _take(tables, x, count, memory, rng)


@lean_helper
def _still_there(tables: Field, x: Any, memory: Integers) -> bool:
    """Move the target against the last action; return whether food is there."""
    if not memory[HAS_TARGET]:
        return False
    last = memory[LAST_ACTION]
    memory[TARGET_X] += (last == WEST) - (last == EAST)
    memory[TARGET_Y] += (last == NORTH) - (last == SOUTH)
    for food in range(tables.agents, tables.agents + tables.food):
        same_x = _number(tables, x, food, 0) == memory[TARGET_X]
        if same_x and _number(tables, x, food, 1) == memory[TARGET_Y]:
            return True
    return False


@lean_helper
def _aim(tables: Field, number: int, x: Any, memory: Integers, rng: Any) -> None:
    """Set the target of a step."""
    own_x, own_y = _number(tables, x, 0, 0), _number(tables, x, 0, 1)
    own_level = _number(tables, x, 0, 2)
    if number in (H1, H3):
        max_level = own_level if number == H3 else NO_LEVEL
        _take_by_distance(tables, x, own_x, own_y, False, max_level, memory, rng)
        return
    if number >= H4 and _still_there(tables, x, memory):
        return
    seen, sum_x, sum_y, levels = 0, 0, 0, own_level
    for other in range(1, tables.agents):
        if _number(tables, x, other, 0) > -1:
            seen += 1
            sum_x += _number(tables, x, other, 0)
            sum_y += _number(tables, x, other, 1)
            levels += _number(tables, x, other, 2)
    if number == H5:
        count = 0
        for food in range(tables.agents, tables.agents + tables.food):
            if _number(tables, x, food, 1) > -1 and (
                _number(tables, x, food, 2) <= levels
            ):
                tables.listed[count] = food
                count += 1
        _take(tables, x, count, memory, rng)
    elif seen == 0:
        memory[HAS_TARGET] = 0
    else:
        # POSGGym swaps the coordinates.
        from_x = np.int64(np.rint(sum_y / seen))
        from_y = np.int64(np.rint(sum_x / seen))
        max_level = own_level if number == H4 else NO_LEVEL
        _take_by_distance(
            tables, x, from_x, from_y, number == H4, max_level, memory, rng
        )


@implements(choose, Field, lean=True)
def _choose(
    tables: Field,
    number: int,
    setting: float,
    agent: int,
    x: Any,
    memory: Integers,
    rng: Any,
) -> int:
    _aim(tables, number, x, memory, rng)
    weights = tables.weights
    if not memory[HAS_TARGET]:
        memory[LAST_ACTION] = equally(rng, weights, 6)
        return memory[LAST_ACTION]
    right = memory[TARGET_X] - _number(tables, x, 0, 0)
    down = memory[TARGET_Y] - _number(tables, x, 0, 1)
    horizontal = WEST if right < 0 else EAST
    vertical = SOUTH if down > 0 else NORTH
    if abs(right) + abs(down) != 1 and right != 0 and down != 0:
        action = horizontal if equally(rng, weights, 2) == 0 else vertical
    else:
        # POSGGym draws from one action, too.
        python_random.random(rng)
        action = NONE
        if abs(right) + abs(down) == 1:
            action = LOAD
        elif right != 0:
            action = horizontal
        elif down != 0:
            action = vertical
    memory[LAST_ACTION] = action
    return action
