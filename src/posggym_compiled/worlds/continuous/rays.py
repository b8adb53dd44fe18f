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
from posggym_compiled.jit import lean_helper
from posggym_compiled.native import cos32, fma32, matmul32, sin32

Floats32 = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Floats64 = npt.NDArray[np.float64]

# `np.isclose(x, 0.0)`
_PARALLEL = 1e-8
# What is farther away than a ray is long, by more than it takes to be sure of it.
_MARGIN = 1.01


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


class Sight(NamedTuple):
    """What an agent sees: scratch, which the next agent overwrites.

    Parameters
    ----------
    turned
        float32 (num_envs, 3, rays): angles of the rays, their cosines, their sines.
    ends
        float32 (num_envs, rays, 2): where the rays end if they meet nothing.
    distances
        float32 (num_envs, 3, rays): how far each ray gets, for up to three kinds of
        things that do not hide each other.
    agent_met
        bool (num_envs, rays): whether an agent is what a ray meets.
    visible
        bool (num_envs, bodies): bodies that there are to see.
    near
        int64 (num_envs, lines): walls that a ray might reach.
    points, from_lines
        float32 (num_envs, lines, 2).
    row
        float32 (num_envs, lines).
    """

    turned: Floats32
    ends: Floats32
    distances: Floats32
    agent_met: Flags
    visible: Flags
    near: npt.NDArray[np.int64]
    points: Floats32
    from_lines: Floats32
    row: Floats32


def make_sight(sensors: Sensors, num_envs: int, bodies: int) -> Sight:
    """Return room for what agents see."""
    rays, lines = len(sensors.angles), max(len(sensors.border), len(sensors.walls))
    return Sight(
        turned=np.zeros((num_envs, 3, rays), np.float32),
        ends=np.zeros((num_envs, rays, 2), np.float32),
        distances=np.zeros((num_envs, 3, rays), np.float32),
        agent_met=np.zeros((num_envs, rays), np.bool_),
        visible=np.zeros((num_envs, bodies), np.bool_),
        near=np.zeros((num_envs, lines), np.int64),
        points=np.zeros((num_envs, lines, 2), np.float32),
        from_lines=np.zeros((num_envs, lines, 2), np.float32),
        row=np.zeros((num_envs, lines), np.float32),
    )


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


@lean_helper
def look(sensors: Sensors, sight: Sight, env: int, own: Floats32) -> None:
    """Cast an agent's rays, which meet nothing yet.

    Parameters
    ----------
    sensors, sight, env
        The sensors, and room for what they see in an environment.
    own
        The agent: x, y, angle; float32 (3 or more,).
    """
    angles, ends = sight.turned[env, 0], sight.ends[env]
    for i in range(len(angles)):
        angles[i] = sensors.angles[i] + own[2]
    cos32(angles, sight.turned[env, 1])
    sin32(angles, sight.turned[env, 2])
    reach = np.float32(sensors.reach)
    for i in range(len(angles)):
        ends[i, 0] = own[0] + reach * sight.turned[env, 1, i]
        ends[i, 1] = own[1] + reach * sight.turned[env, 2, i]
        sight.agent_met[env, i] = False
        for kind in range(3):
            sight.distances[env, kind, i] = reach


@lean_helper
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


@lean_helper
def _in_reach(sensors: Sensors, x: float, y: float, radius: float) -> bool:
    """Return whether a ray might reach a circle, so far away along x and y."""
    farthest = _MARGIN * (sensors.reach + radius)
    return x * x + y * y <= farthest * farthest


@lean_helper
def see_agents(
    sensors: Sensors,
    sight: Sight,
    env: int,
    own: Floats32,
    bodies: Floats32,
    first: int,
    last: int,
    kind: int,
) -> None:
    """Shorten rays to the nearest agent.

    Parameters
    ----------
    sensors, sight, env, own
        As for `look`.
    bodies
        float32 (bodies, 2 or more): x and y of the bodies.
    first, last
        Those from the first until before the last are looked for, where they are
        visible.
    kind
        Which distances are shortened.
    """
    distances = sight.distances[env, kind]
    for j in range(first, last):
        body = bodies[j]
        away_x, away_y = np.float64(body[0] - own[0]), np.float64(body[1] - own[1])
        if not sight.visible[env, j]:
            continue
        if not _in_reach(sensors, away_x, away_y, sensors.agent_radius):
            continue
        for i in range(len(distances)):
            distance = circle_distance(
                body[0], body[1], sensors.agent_radius, own, sight.ends[env, i]
            )
            if distance < distances[i]:
                distances[i] = distance
                sight.agent_met[env, i] = True


@lean_helper
def see_obstacles(
    sensors: Sensors, sight: Sight, env: int, own: Floats32, kind: int
) -> None:
    """Shorten rays to the nearest block, border or wall; as `see_agents`."""
    for j in range(len(sensors.blocks)):
        x, y, radius = sensors.blocks[j]
        if _in_reach(sensors, x - own[0], y - own[1], radius):
            for i in range(sight.ends.shape[1]):
                distance = circle_distance(x, y, radius, own, sight.ends[env, i])
                _shorten(sight, env, kind, i, distance)
    lines = _lines_in_reach(sensors.border, np.inf, sight, env, own)
    for i in range(sight.ends.shape[1]):
        _see_border(sensors.border, lines, sight, env, own, kind, i)
    lines = _lines_in_reach(sensors.walls, sensors.reach, sight, env, own)
    for i in range(sight.ends.shape[1]):
        for j in range(_crossings(sensors.walls, lines, sight, env, own, i)):
            point = sight.points[env, j]
            _shorten(sight, env, kind, i, _distance(own, point[0], point[1]))


@lean_helper
def _see_border(
    border: Floats32,
    lines: int,
    sight: Sight,
    env: int,
    own: Floats32,
    kind: int,
    i: int,
) -> None:
    hits = _crossings(border, lines, sight, env, own, i)
    if hits:
        # Of a ray through a corner POSGGym takes the smaller x and the smaller y.
        x, y = sight.points[env, 0]
        for j in range(1, hits):
            x = min(x, sight.points[env, j, 0])
            y = min(y, sight.points[env, j, 1])
        _shorten(sight, env, kind, i, _distance(own, x, y))


@lean_helper
def _lines_in_reach(
    lines: Floats32, reach: float, sight: Sight, env: int, own: Floats32
) -> int:
    """Write which lines a ray might reach, and return how many there are.

    The others cannot shorten a ray: POSGGym measures the way to a point of the line.
    Write where all lines begin, as seen by the agent, too.
    """
    farthest, count = np.float32(_MARGIN * reach), 0
    for j in range(len(lines)):
        x, y = own[0] - lines[j, 0], own[1] - lines[j, 1]
        sight.from_lines[env, j, 0], sight.from_lines[env, j, 1] = x, y
        to_x, to_y = x - lines[j, 2], y - lines[j, 3]
        if (
            min(x, to_x) <= farthest
            and max(x, to_x) >= -farthest
            and min(y, to_y) <= farthest
            and max(y, to_y) >= -farthest
        ):
            sight.near[env, count] = j
            count += 1
    return count


@lean_helper
def _crossings(
    lines: Floats32, near: int, sight: Sight, env: int, own: Floats32, ray: int
) -> int:
    """Write where a ray crosses the near lines, and return how many it crosses.

    `check_line_line_intersection`. Its products are sums of two terms by the BLAS,
    which may or may not round in between, as it likes. With lines parallel to an axis
    one term is 0, save in the numerator of the place on the line. The BLAS is only
    asked where the ways to round that sum differ, and matter.
    """
    end, from_lines = sight.ends[env, ray], sight.from_lines[env, : len(lines)]
    way_x, way_y = end[0] - own[0], end[1] - own[1]
    count, asked = 0, False
    for j in range(near):
        i = sight.near[env, j]
        line_x, line_y = lines[i, 2], lines[i, 3]
        denominator = -way_y * line_x + way_x * line_y
        if abs(denominator) <= _PARALLEL:
            continue
        from_x, from_y = from_lines[i, 0], from_lines[i, 1]
        t = (-line_y * from_x + line_x * from_y) / denominator
        if not 0.0 <= t <= 1.0:
            continue
        first, second = -way_y * from_x, way_x * from_y
        numerator = first + second
        if _misses(numerator, denominator, abs(first) + abs(second)):
            continue
        if (
            fma32(-way_y, from_x, second) != numerator
            or fma32(way_x, from_y, first) != numerator
        ):
            # All of them: it may round differently at another place in the row.
            if not asked:
                matmul32(-way_y, way_x, from_lines, sight.row[env])
                asked = True
            numerator = sight.row[env, i]
        u = numerator / denominator
        if 0.0 <= u <= 1.0:
            sight.points[env, count, 0] = u * line_x + lines[i, 0]
            sight.points[env, count, 1] = u * line_y + lines[i, 1]
            count += 1
    return count


@lean_helper
def _misses(numerator: float, denominator: float, size: float) -> bool:
    """Return whether a quotient is not in [0, 1], however its numerator is rounded.

    The numerator is a sum of terms with the sum `size` of absolute values.
    """
    slack = 1e-6 * size
    signed = numerator if denominator > 0 else -numerator
    return signed < -slack or signed > abs(denominator) + slack


@lean_helper
def _distance(start: Floats32, x: np.float32, y: np.float32) -> np.float32:
    way_x, way_y = x - start[0], y - start[1]
    return np.float32(math.sqrt(way_x * way_x + way_y * way_y))


@lean_helper
def _shorten(sight: Sight, env: int, kind: int, i: int, distance: float) -> None:
    if distance < sight.distances[env, kind, i]:
        sight.distances[env, kind, i] = distance
        sight.agent_met[env, i] = False
