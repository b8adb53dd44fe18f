"""Drivers that take the shortest path, and stop for others more or less early.

Source: `posggym.agents.grid_world.driving.shortest_path`. All of POSGGym's drivers in a
process share a table of distances, which they fill as they go. A search ends at the
first place in the table, which may lie on a detour, so what POSGGym's drivers do also
depends on earlier episodes. Here distances are those of the shortest paths, as a search
with an empty table finds them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from posggym_compiled.interface import Integers, UnsupportedError, World, implements
from posggym_compiled.networks import Vector
from posggym_compiled.partners.kinds import Heuristic, choose
from posggym_compiled.partners.rules import part, shifts_of
from posggym_compiled.random import python_random
from posggym_compiled.worlds.grid.driving import (
    ACCELERATE,
    DECELERATE,
    DO_NOTHING,
    REVERSE,
    SLOW,
    STOPPED,
    TURN_LEFT,
    TURN_RIGHT,
    VEHICLE,
)

NUM_ACTIONS = 5
UNREACHABLE = np.iinfo(np.int32).max // 2
# What a driver remembers.
STEPS, FACING, LAST_ACTION = range(3)


class Drivers(NamedTuple):
    """What drivers look up. A position is a cell, a speed and a direction.

    Parameters
    ----------
    width
        Of the grid; cells are numbered by rows.
    after
        Shape (positions, actions): the position after an action.
    dest_rows
        Shape (cells,): row of `distances` of a destination.
    distances
        Shape (destinations, positions): actions to a destination.
    away
        Shape (seen,): distance of the cells in sight; that of a driver's own is beyond
        the others.
    farthest
        Distance of the farthest cell in sight.
    shifts
        See `rules.shifts_of`.
    weights
        Scratch.
    """

    width: int
    after: Integers
    dest_rows: Integers
    distances: npt.NDArray[np.int32]
    away: Integers
    farthest: int
    shifts: Integers
    weights: Vector


def heuristic(entry: Any, config: Mapping[str, Any]) -> Heuristic | None:
    """Return the compiled form of a policy class, if it is a driver."""
    from posggym.agents.grid_world.driving import shortest_path

    if entry is not shortest_path.DrivingShortestPathPolicy:
        return None
    return Heuristic(0, float(config.get("aggressiveness", 1.0)))


def make_tables(world: World) -> Drivers:
    """Return what drivers look up.

    Raises
    ------
    UnsupportedError
        If drivers see no farther than one cell: POSGGym's divide by zero.
    """
    import posggym

    env = posggym.make(world.env_id, disable_env_checker=True, **world.env_args)
    model = env.model
    grid, (front, back, side) = model.grid, model.obs_dim
    farthest = max(front, back) + side
    if farthest < 2:
        raise UnsupportedError("drivers that see one cell only are not compiled")
    seen = itertools.product(range(front + back + 1), range(2 * side + 1))
    away = [abs(column - side) + abs(row - front) for row, column in seen]
    away[front * (2 * side + 1) + side] = farthest + 1
    after = _positions_after(model)
    dests = {cell for cells in grid.dest_coords for cell in cells}
    dest_rows = np.zeros(grid.width * grid.height, np.int64)
    cells = [row * grid.width + column for column, row in sorted(dests)]
    dest_rows[cells] = np.arange(len(cells))
    env.close()
    return Drivers(
        width=grid.width,
        after=after,
        dest_rows=dest_rows,
        distances=_distances(after, cells),
        away=np.array(away, np.int64),
        farthest=farthest,
        shifts=shifts_of(world.observations[0]),
        weights=np.zeros(NUM_ACTIONS),
    )


def _positions_after(model: Any) -> Integers:
    """Return the position after each action, as POSGGym's model has it."""
    from posggym.envs.grid_world.core import Direction
    from posggym.envs.grid_world.driving import Speed

    grid = model.grid
    after = np.zeros((grid.height, grid.width, 4, 4, NUM_ACTIONS), np.int64)
    for row, column, speed, facing, action in np.ndindex(after.shape):
        new_speed = model.get_next_speed(action, Speed(speed))
        direction = Direction(facing)
        way = model.get_move_direction(action, new_speed, direction)
        new_facing = model.get_next_direction(action, new_speed, direction)
        coord = column, row
        for _ in range(abs(new_speed - STOPPED)):
            coord = grid.get_next_coord(coord, way, ignore_blocks=False)
        if coord == (column, row):
            new_speed = STOPPED
        cell = coord[1] * grid.width + coord[0]
        after[row, column, speed, facing, action] = _position(
            cell, new_speed, new_facing
        )
    return after.reshape(-1, NUM_ACTIONS)


def _position(cell: int, speed: int, facing: int) -> int:
    return (cell * 4 + int(speed)) * 4 + int(facing)


def _distances(after: Integers, dests: list[int]) -> npt.NDArray[np.int32]:
    """Return the number of actions from each position to each destination."""
    distances = np.full((len(dests), len(after)), UNREACHABLE, np.int32)
    for row, cell in enumerate(dests):
        distances[row, 16 * cell : 16 * (cell + 1)] = 0
    while True:
        nearer = distances[:, after].min(axis=2) + 1
        if (nearer >= distances).all():
            return distances
        np.minimum(distances, nearer, out=distances)


@implements(choose, Drivers, lean=True)
def _choose(
    tables: Drivers,
    number: int,
    setting: float,
    agent: int,
    x: Any,
    memory: Integers,
    rng: Any,
) -> int:
    shifts, weights = tables.shifts, tables.weights
    seen = len(tables.away)
    speed = part(x, shifts, seen)
    if memory[STEPS] and speed != REVERSE:
        if memory[LAST_ACTION] == TURN_RIGHT:
            memory[FACING] = (memory[FACING] + 1) % 4
        elif memory[LAST_ACTION] == TURN_LEFT:
            memory[FACING] = (memory[FACING] + 3) % 4
    memory[STEPS] += 1
    nearest = tables.farthest + 1
    for k in range(seen):
        if part(x, shifts, k) == VEHICLE:
            nearest = min(nearest, tables.away[k])
    for action in range(5):
        weights[action] = 0.0
    stops = nearest <= tables.farthest
    stops = stops and (nearest - 1) / (tables.farthest - 1) < 1 - setting
    if stops:
        # POSGGym draws from one action, too.
        python_random.random(rng)
        action = DO_NOTHING
        if speed > STOPPED:
            action = DECELERATE
        elif speed < STOPPED:
            action = ACCELERATE
    else:
        cell = part(x, shifts, seen + 2) * tables.width + part(x, shifts, seen + 1)
        dest = part(x, shifts, seen + 4) * tables.width + part(x, shifts, seen + 3)
        row = tables.dest_rows[dest]
        position = (cell * 4 + speed) * 4 + memory[FACING]
        slow = setting < 0.5 and speed >= SLOW
        least = UNREACHABLE
        for action in range(5):
            if not (slow and action == ACCELERATE):
                after = tables.after[position, action]
                least = min(least, tables.distances[row, after])
        count = 0
        for action in range(5):
            if not (slow and action == ACCELERATE):
                after = tables.after[position, action]
                if tables.distances[row, after] == least:
                    weights[action] = 1.0
                    count += 1
        for action in range(5):
            weights[action] /= count
        action = python_random.choices(rng, weights, 5)
    memory[LAST_ACTION] = action
    return action
