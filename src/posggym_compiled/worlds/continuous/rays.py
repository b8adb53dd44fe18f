"""What POSGGym's sensors measure: the nearest thing along each of several rays.

The arithmetic is that of `AbstractContinuousWorld.check_ray_collisions` and the
functions below it: the same expressions in the same order, in float32 where NumPy 1.26
computes in float32, and in float64 where it promotes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from posggym_compiled.interface import UnsupportedError
from posggym_compiled.jit import helper
from posggym_compiled.native import cos32, fma32, matmul32, sin32

Floats32 = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Floats64 = npt.NDArray[np.float64]

# `np.isclose(x, 0.0)`
_PARALLEL = 1e-8


class Sensors(NamedTuple):
    """The rays of an agent, and what does not move.

    Parameters
    ----------
    angles
        Angle of each ray, relative to the agent's, float32 (rays,).
    reach
        Length of the rays.
    agent_radius
        Radius of the agents.
    border, walls
        Lines parallel to an axis: x, y, and the way to the other end;
        float32 (lines, 4).
    blocks
        Circles: x, y, radius; float64 (blocks, 3).
    """

    angles: Floats32
    reach: float
    agent_radius: float
    border: Floats32
    walls: Floats32
    blocks: Floats64


def make_sensors(
    world: Any, reach: float, rays: int, bounds: tuple[float, float] = (0.0, 2 * np.pi)
) -> Sensors:
    """Return the sensors of the agents in a square world of POSGGym.

    Parameters
    ----------
    world
        A `posggym.envs.continuous.core.SquareContinuousWorld`.
    reach, rays, bounds
        `ray_distance`, `n_rays` and `angle_bounds` of `check_collision_circular_rays`.
    """
    blocks = [[block[0], block[1], radius] for block, radius in world.blocks]
    return Sensors(
        np.linspace(*bounds, rays, endpoint=False, dtype=np.float32),
        float(reach),
        float(world.agent_radius),
        _lines(*world.border),
        _lines(*world.interior_walls_array),
        np.array(blocks, np.float64).reshape(-1, 3),
    )


def _lines(starts: Floats32, ends: Floats32) -> Floats32:
    starts, ends = starts.reshape(-1, 2), ends.reshape(-1, 2)
    lines = np.concatenate([starts, ends - starts], axis=1)
    if (lines[:, 2:] != 0).all(axis=1).any():
        raise UnsupportedError("walls must be parallel to an axis")
    return np.ascontiguousarray(lines, np.float32)


@helper
def ray_ends(sensors: Sensors, agent: Floats32) -> Floats32:
    """Return the end of each ray, float32 (rays, 2), for an agent's x, y and angle."""
    rays = len(sensors.angles)
    angles = np.empty(rays, np.float32)
    for i in range(rays):
        angles[i] = sensors.angles[i] + agent[2]
    cosines, sines = np.empty(rays, np.float32), np.empty(rays, np.float32)
    cos32(angles, cosines)
    sin32(angles, sines)
    ends = np.empty((rays, 2), np.float32)
    reach = np.float32(sensors.reach)
    for i in range(rays):
        ends[i, 0] = agent[0] + reach * cosines[i]
        ends[i, 1] = agent[1] + reach * sines[i]
    return ends


@helper
def circle_distance(
    x: Any, y: Any, radius: float, start: Floats32, end: Floats32
) -> float:
    """Return the way along a ray to a circle, NaN if it does not meet it.

    As POSGGym has it, a ray that ends within the circle does not meet it. The center
    is float32 (agents) or float64 (blocks), and decides how the ray is computed.
    """
    start_x, start_y = start[0] - x, start[1] - y
    way_x, way_y = (end[0] - x) - start_x, (end[1] - y) - start_y
    a = way_x * way_x + way_y * way_y
    half = start_x * way_x + start_y * way_y
    b = half + half
    c = np.float64(start_x * start_x + start_y * start_y) - radius * radius
    root = math.sqrt(np.float64(b * b) - (4.0 * a) * c)
    t1 = (-b - root) / (2.0 * a)
    t2 = (-b + root) / (2.0 * a)
    if not 0.0 <= t2 <= 1.0:
        return np.nan
    t = t1 if 0.0 <= t1 <= 1.0 and t1 <= t2 else t2
    hit_x, hit_y = t * way_x, t * way_y
    return math.sqrt(hit_x * hit_x + hit_y * hit_y)


@helper
def crossings(lines: Floats32, start: Floats32, end: Floats32, points: Floats32) -> int:
    """Write where a ray crosses lines, and return how many it crosses.

    `check_line_line_intersection`. Its products are sums of two terms by the BLAS,
    which may or may not round in between, as it likes. With lines parallel to an axis
    one term is 0, save in the numerator of the place on the line. The BLAS is only
    asked where the ways to round that sum differ.
    """
    way_x, way_y = end[0] - start[0], end[1] - start[1]
    count = 0
    for i in range(len(lines)):
        line_x, line_y = lines[i, 2], lines[i, 3]
        denominator = -way_y * line_x + way_x * line_y
        if abs(denominator) <= _PARALLEL:
            continue
        from_x, from_y = start[0] - lines[i, 0], start[1] - lines[i, 1]
        t = (-line_y * from_x + line_x * from_y) / denominator
        if not 0.0 <= t <= 1.0:
            continue
        first, second = -way_y * from_x, way_x * from_y
        numerator = first + second
        if (
            fma32(-way_y, from_x, second) != numerator
            or fma32(way_x, from_y, first) != numerator
        ):
            numerator = _numerator(lines, start, way_x, way_y, i)
        u = numerator / denominator
        if 0.0 <= u <= 1.0:
            points[count, 0] = u * line_x + lines[i, 0]
            points[count, 1] = u * line_y + lines[i, 1]
            count += 1
    return count


@helper
def _numerator(
    lines: Floats32, start: Floats32, way_x: np.float32, way_y: np.float32, i: int
) -> np.float32:
    """Return one of the products that POSGGym computes for a ray and all lines."""
    across = np.empty(2, np.float32)
    across[0], across[1] = -way_y, way_x
    # The BLAS may compute the same product differently at another place in a row.
    from_lines = np.empty((len(lines), 2), np.float32)
    for j in range(len(lines)):
        from_lines[j, 0] = start[0] - lines[j, 0]
        from_lines[j, 1] = start[1] - lines[j, 1]
    row = np.empty(len(lines), np.float32)
    matmul32(across, from_lines, row)
    return row[i]


@helper
def see_agents(
    sensors: Sensors,
    agents: Floats32,
    visible: Flags,
    start: Floats32,
    ends: Floats32,
    distances: Floats32,
    seen: Flags,
) -> None:
    """Shorten rays to the nearest agent.

    Parameters
    ----------
    sensors
        The sensors.
    agents
        Agents, float32 (agents, 2 or more); x and y come first.
    visible
        Which of them there are to see, bool (agents,).
    start, ends
        Where the rays begin, float32 (2 or more,), and end, float32 (rays, 2).
    distances
        How far each ray gets, float32 (rays,), updated.
    seen
        Whether an agent is what it meets, bool (rays,), updated.
    """
    for i in range(len(ends)):
        nearest = np.inf
        for j in range(len(agents)):
            if visible[j]:
                distance = circle_distance(
                    agents[j, 0], agents[j, 1], sensors.agent_radius, start, ends[i]
                )
                if distance < nearest:
                    nearest = distance
        if nearest < distances[i]:
            distances[i] = nearest
            seen[i] = True


@helper
def see_obstacles(
    sensors: Sensors,
    start: Floats32,
    ends: Floats32,
    distances: Floats32,
    seen: Flags,
) -> None:
    """Shorten rays to the nearest block, border or wall; as `see_agents`."""
    points = np.empty((len(sensors.border) + len(sensors.walls), 2), np.float32)
    for i in range(len(ends)):
        end = ends[i]
        for j in range(len(sensors.blocks)):
            block = sensors.blocks[j]
            distance = circle_distance(block[0], block[1], block[2], start, end)
            _shorten(i, distance, distances, seen)
        hits = crossings(sensors.border, start, end, points)
        if hits:
            # Of a ray through a corner POSGGym takes the smaller x and the smaller y.
            x, y = points[:hits, 0].min(), points[:hits, 1].min()
            _shorten(i, _distance(start, x, y), distances, seen)
        for j in range(crossings(sensors.walls, start, end, points)):
            distance = _distance(start, points[j, 0], points[j, 1])
            _shorten(i, distance, distances, seen)


@helper
def _distance(start: Floats32, x: np.float32, y: np.float32) -> np.float32:
    way_x, way_y = x - start[0], y - start[1]
    return np.float32(math.sqrt(way_x * way_x + way_y * way_y))


@helper
def _shorten(i: int, distance: float, distances: Floats32, seen: Flags) -> None:
    if distance < distances[i]:
        distances[i] = distance
        seen[i] = False
