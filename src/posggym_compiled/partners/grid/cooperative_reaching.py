"""Agents that go to a goal of their own choice, or follow the other agent.

Source: `posggym.agents.grid_world.cooperative_reaching.heuristic`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from posggym_compiled.interface import Integers, World, implements
from posggym_compiled.jit import lean_helper
from posggym_compiled.networks import Vector
from posggym_compiled.partners.kinds import Heuristic, choose
from posggym_compiled.partners.rules import equally, numbered, part, shifts_of
from posggym_compiled.random import python_random

DO_NOTHING, UP, DOWN, LEFT, RIGHT = range(5)
# Which goals a rule considers: all, those of most value, those of less (all if there
# are none), those of least value.
ALL, BEST, WORSE, WORST = range(4)
# Which of them it goes to: any, the nearest ones or the farthest ones.
ANY, NEAREST, FARTHEST = range(3)
# Of H1 to H7, which choose once.
GOALS = np.array([ALL, ALL, ALL, BEST, BEST, WORSE, WORSE, ALL])
PLACES = np.array([ANY, *[NEAREST, FARTHEST] * 3, ANY])
H8, H9, H10, H11 = range(8, 12)
# What an agent remembers.
HAS_TARGET, TARGET_X, TARGET_Y = range(3)


class Goals(NamedTuple):
    """What agents look up.

    Parameters
    ----------
    size
        Of the grid, and both coordinates of an agent that is not seen.
    xs, ys, values
        Shape (goals,): coordinates and rewards of goals, in POSGGym's order.
    best, worst
        Largest and smallest reward.
    shifts
        See `rules.shifts_of`.
    listed
        Scratch: numbers of goals.
    weights
        Scratch.
    """

    size: int
    xs: Integers
    ys: Integers
    values: Vector
    best: float
    worst: float
    shifts: Integers
    listed: Integers
    weights: Vector


def heuristic(entry: Any, config: Mapping[str, Any]) -> Heuristic | None:
    """Return the compiled form of a policy class if it is one of H1 to H11."""
    from posggym.agents.grid_world.cooperative_reaching import heuristic as module

    return numbered(entry, module, "CRHeuristic")


def make_tables(world: World) -> Goals:
    """Return what agents look up."""
    import posggym

    env = posggym.make(world.env_id, disable_env_checker=True, **world.env_args)
    goals = env.model.goals
    env.close()
    values = np.array(list(goals.values()), np.float64)
    return Goals(
        size=int(env.model.size),
        xs=np.array([x for x, _ in goals], np.int64),
        ys=np.array([y for _, y in goals], np.int64),
        values=values,
        best=float(values.max()),
        worst=float(values.min()),
        shifts=shifts_of(world.observations[0]),
        listed=np.zeros(len(goals), np.int64),
        weights=np.zeros(5),
    )


@lean_helper
def _considered(tables: Goals, which: int, k: int) -> bool:
    """Return whether a goal is among those that a rule considers."""
    value = tables.values[k]
    if which == BEST:
        return value == tables.best
    if which == WORST:
        return value == tables.worst
    if which == WORSE:
        return value != tables.best or tables.worst == tables.best
    return True


@lean_helper
def _goal(tables: Goals, which: int, place: int, x: int, y: int, rng: Any) -> int:
    """Draw one of the goals that a rule allows, seen from a cell."""
    wanted = -1
    if place != ANY:
        for k in range(len(tables.xs)):
            if _considered(tables, which, k):
                away = abs(x - tables.xs[k]) + abs(y - tables.ys[k])
                if wanted < 0 or (away < wanted) == (place == NEAREST):
                    wanted = away
    count = 0
    for k in range(len(tables.xs)):
        away = abs(x - tables.xs[k]) + abs(y - tables.ys[k])
        if _considered(tables, which, k) and (place == ANY or away == wanted):
            tables.listed[count] = k
            count += 1
    return tables.listed[python_random.randbelow(rng, count)]


@lean_helper
def _aim(tables: Goals, number: int, x: Any, memory: Integers, rng: Any) -> None:
    """Set the target of a step."""
    shifts = tables.shifts
    if number < H8:
        if memory[HAS_TARGET]:
            return
        own_x, own_y = part(x, shifts, 0), part(x, shifts, 1)
        goal = _goal(tables, GOALS[number], PLACES[number], own_x, own_y, rng)
        memory[HAS_TARGET] = 1
    else:
        other_x, other_y = part(x, shifts, 2), part(x, shifts, 3)
        hidden = other_x == tables.size and other_y == tables.size
        if number == H11 and not hidden:
            memory[TARGET_X], memory[TARGET_Y] = other_x, other_y
            return
        place = ANY if hidden else NEAREST
        which = ALL
        if number == H9 or (number == H10 and hidden):
            which = BEST
        elif number == H10:
            which = WORST
        goal = _goal(tables, which, place, other_x, other_y, rng)
    memory[TARGET_X], memory[TARGET_Y] = tables.xs[goal], tables.ys[goal]


@implements(choose, Goals, lean=True)
def _choose(
    tables: Goals,
    number: int,
    setting: float,
    agent: int,
    x: Any,
    memory: Integers,
    rng: Any,
) -> int:
    _aim(tables, number, x, memory, rng)
    own_x, own_y = part(x, tables.shifts, 0), part(x, tables.shifts, 1)
    target_x, target_y = memory[TARGET_X], memory[TARGET_Y]
    vertical = UP if target_y < own_y else DOWN
    horizontal = LEFT if target_x < own_x else RIGHT
    if target_x != own_x and target_y != own_y:
        first = equally(rng, tables.weights, 2) == 0
        return vertical if first else horizontal
    # POSGGym draws from one action, too.
    python_random.random(rng)
    if target_y != own_y:
        return vertical
    if target_x != own_x:
        return horizontal
    return DO_NOTHING
