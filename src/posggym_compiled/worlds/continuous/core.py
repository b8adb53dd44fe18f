"""What the compiled continuous worlds share.

Source: `posggym.envs.continuous.core`. Python's and NumPy's scalars are written out as
NumPy 1.26 promotes them: an operation of a float32 scalar and a Python number is one in
float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from posggym_compiled.jit import lean_helper
from posggym_compiled.native import norm32, power
from posggym_compiled.worlds.continuous import chipmunk
from posggym_compiled.worlds.continuous.chipmunk import Spaces

Distances = npt.NDArray[np.int64]
Floats32 = npt.NDArray[np.float32]

# Where there is no way to a destination; POSGGym raises a KeyError there.
NO_WAY = 2**30


def path_distances(world: Any, destinations: list[Any]) -> Distances:
    """Return the steps to each destination from each cell.

    Parameters
    ----------
    world
        A world of POSGGym with `shortest_paths`.
    destinations
        Coordinates of destinations.

    Returns
    -------
    int64 (destinations, columns, rows). Of the cells outside of the world, there are
    those that POSGGym's search visits.
    """
    size = 2 + math.ceil(world.size)
    distances = np.full((len(destinations), size, size), NO_WAY)
    for row, destination in enumerate(destinations):
        paths = world.shortest_paths[world.convert_to_coord(destination)]
        for cell, distance in paths.items():
            if min(cell) >= 0:
                distances[row][cell] = distance
    return distances


@lean_helper
def path_distance(distances: Distances, x: float, y: float) -> int:
    """Return the steps to a destination from the cell of a place."""
    column, row = math.floor(x), math.floor(y)
    size = len(distances)
    if 0 <= column < size and 0 <= row < size:
        return distances[column, row]
    return NO_WAY


@lean_helper
def heading(angle: float) -> tuple[float, float]:
    """Return the unit vector of an angle, as `Vec2d(1, 0).rotated(angle)`."""
    return rotated(1.0, 0.0, angle)


@lean_helper
def rotated(x: float, y: float, angle: float) -> tuple[float, float]:
    """Return a vector turned by an angle, as `Vec2d(x, y).rotated(angle)`."""
    cos, sin = math.cos(np.float64(angle)), math.sin(np.float64(angle))
    return x * cos - y * sin, x * sin + y * cos


@lean_helper
def drive(spaces: Spaces, env: int, i: int, angle: float, speed: float) -> None:
    """Let a body go with a speed in a direction, as `linear_to_xy_velocity`."""
    x, y = heading(angle)
    chipmunk.move(spaces, env, i, angle, speed * x, speed * y)


@lean_helper
def clamp_norm(x: float, y: float, longest: float) -> tuple[float, float]:
    """Return a vector shortened to a length, as POSGGym's `clamp_norm`."""
    if x == 0.0 and y == 0.0:
        return x, y
    norm = math.sqrt(power(x, 2.0) + power(y, 2.0))
    factor = min(norm, longest) / norm
    return factor * x, factor * y


@lean_helper
def between(one: Floats32, other: Floats32) -> np.float32:
    """Return the distance of two float32 places, as `np.linalg.norm(one - other)`."""
    return norm32(one[0] - other[0], one[1] - other[1])


@lean_helper
def clip(value: Any, low: Any, high: Any) -> Any:
    """Return a number within bounds."""
    return min(max(value, low), high)
