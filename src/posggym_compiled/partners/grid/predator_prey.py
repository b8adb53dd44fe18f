"""Predators that run after prey and each other, or explore.

Source: `posggym.agents.grid_world.predator_prey.heuristic`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from posggym_compiled.interface import Integers, World, implements
from posggym_compiled.jit import lean_helper
from posggym_compiled.networks import Vector
from posggym_compiled.partners.kinds import Heuristic, choose
from posggym_compiled.partners.rules import numbered, part, shifts_of
from posggym_compiled.random import python_random
from posggym_compiled.worlds.grid.predator_prey import PREDATOR, PREY, WALL

NUM_ACTIONS = 5
UP, DOWN, LEFT, RIGHT = range(1, 5)
NORTH, EAST, SOUTH, WEST = range(4)
ACTION_OF = np.array([UP, RIGHT, DOWN, LEFT])
H1, H2, H3 = range(1, 4)
# Probability of the actions that a rule does not choose.
EPSILON = 0.05
# What a predator remembers: the direction in which it explores, plus 1; 0 for none.
EXPLORES = 0


class Sight(NamedTuple):
    """What predators look up.

    Parameters
    ----------
    obs_dim
        Cells in each direction that a predator sees.
    shifts
        See `rules.shifts_of`.
    weights
        Scratch.
    """

    obs_dim: int
    shifts: Integers
    weights: Vector


def heuristic(entry: Any, config: Mapping[str, Any]) -> Heuristic | None:
    """Return the compiled form of a policy class if it is one of H1 to H3."""
    from posggym.agents.grid_world.predator_prey import heuristic as module

    return numbered(entry, module, "PPHeuristic")


def make_tables(world: World) -> Sight:
    """Return what predators look up."""
    return Sight(
        obs_dim=int(world.params.obs_dim),
        shifts=shifts_of(world.observations[0]),
        weights=np.zeros(NUM_ACTIONS),
    )


@lean_helper
def _closest(tables: Sight, x: Any, kind: int, column: int, row: int) -> int:
    """Return the cell in sight of the closest predator or prey, or -1."""
    width = 2 * tables.obs_dim + 1
    own = tables.obs_dim * (width + 1)
    found, least = -1, 0
    for k in range(width * width):
        if k != own and part(x, tables.shifts, k) == kind:
            away = abs(k % width - column) + abs(k // width - row)
            if found < 0 or away < least:
                found, least = k, away
    return found


@lean_helper
def _sees_wall(tables: Sight, x: Any, direction: int) -> bool:
    """Return whether there is a wall in sight straight ahead in a direction."""
    width = 2 * tables.obs_dim + 1
    own = tables.obs_dim * (width + 1)
    step = width if direction in (NORTH, SOUTH) else 1
    if direction in (NORTH, WEST):
        step = -step
    for distance in range(1, tables.obs_dim + 1):
        if part(x, tables.shifts, own + distance * step) == WALL:
            return True
    return False


@lean_helper
def _target(tables: Sight, number: int, x: Any) -> int:
    """Return the cell in sight that a predator goes to, or -1 if it explores."""
    width, center = 2 * tables.obs_dim + 1, tables.obs_dim
    prey = _closest(tables, x, PREY, center, center)
    predator = _closest(tables, x, PREDATOR, center, center)
    if number != H3:
        return prey if prey >= 0 else predator
    if prey >= 0 and predator >= 0:
        return _closest(tables, x, PREY, predator % width, predator // width)
    return prey


@lean_helper
def _explored(tables: Sight, x: Any, memory: Integers) -> int:
    """Return the action of a clockwise spiral, or -1 if walls are everywhere."""
    if memory[EXPLORES]:
        direction = memory[EXPLORES] - 1
    else:
        direction = EAST if _sees_wall(tables, x, SOUTH) else WEST
    for _ in range(4):
        if not _sees_wall(tables, x, direction):
            memory[EXPLORES] = direction + 1
            return ACTION_OF[direction]
        direction = (direction + 1) % 4
    memory[EXPLORES] = 0
    return -1


@implements(choose, Sight, lean=True)
def _choose(
    tables: Sight,
    number: int,
    setting: float,
    agent: int,
    x: Any,
    memory: Integers,
    rng: Any,
) -> int:
    first = second = -1
    target = _target(tables, number, x)
    if target >= 0:
        width, center = 2 * tables.obs_dim + 1, tables.obs_dim
        column, row = target % width, target // width
        if column != center:
            first = RIGHT if center < column else LEFT
        if row != center:
            second = DOWN if center < row else UP
    elif number != H1:
        first = _explored(tables, x, memory)
    count = (first >= 0) + (second >= 0)
    if count == 0:
        count = 5
    for action in range(5):
        if count == 5 or action in (first, second):
            tables.weights[action] = (1 - EPSILON) / count
        else:
            tables.weights[action] = EPSILON / (5 - count)
    return python_random.choices(rng, tables.weights, 5)
