"""DroneTeamCapture: drones that hunt a faster target in a round arena.

Source: `posggym.envs.continuous.drone_team_capture`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from posggym_compiled.interface import (
    Integers,
    World,
    implements,
    observe,
    reset,
    seed,
    step,
)
from posggym_compiled.jit import lean_helper
from posggym_compiled.native import dot64, power, rotate64, square64
from posggym_compiled.random import python_random
from posggym_compiled.worlds.continuous import chipmunk, core
from posggym_compiled.worlds.continuous.chipmunk import Spaces

Floats32 = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]


class DroneTeamCaptureParams(NamedTuple):
    """Constants of DroneTeamCapture.

    Parameters
    ----------
    low, high
        Bounds of an action: turn, and speed where it is controlled; float32 (1 or 2,).
    starts
        Where the drones start: x, y, angle; float32 (drones, 3).
    arena
        Radius of the arena.
    nearest_start, farthest_start
        Bounds of the target's distance from the center.
    max_speed
        Speed of a drone.
    slowest_target, fastest_target
        Bounds of the target's speed, relative to that.
    heard
        Number of other drones that a drone knows about.
    sight
        How far a drone sees; infinity for no limit.
    max_rate
        Greatest change of a distance in a step, as a part of the arena's diameter.
    capture_distance
        How near a drone has to come to the target.
    capture_reward, team_reward, formation_reward, distance_reward
        Rewards; the third is 0 where it is not used.
    """

    low: Floats32
    high: Floats32
    starts: Floats32
    arena: float
    nearest_start: float
    farthest_start: float
    max_speed: float
    slowest_target: float
    fastest_target: float
    heard: int
    sight: float
    max_rate: float
    capture_distance: float
    capture_reward: float
    team_reward: float
    formation_reward: float
    distance_reward: float


class DroneTeamCaptureState(NamedTuple):
    """State of DroneTeamCapture; the first dimension is the environments.

    Parameters
    ----------
    rng
        uint32 (n, 625): Python's random generators.
    spaces
        Physics.
    bodies, old_bodies
        float32 (n, drones + 1, 6): the bodies now and before the step; the target
        comes last.
    distances, old_distances
        float64 (n, drones): distances of the target.
    directions
        float64 (n, drones, drones + 1): where each drone has the bodies, as parts of a
        half turn.
    old_directions
        float64 (n, drones): where each had the target before the step.
    target_speed
        float64 (n,).
    apart, squares, ways, turned, rotation, order
        Scratch.
    """

    rng: npt.NDArray[np.uint32]
    spaces: Spaces
    bodies: Floats32
    old_bodies: Floats32
    distances: Floats64
    old_distances: Floats64
    directions: Floats64
    old_directions: Floats64
    target_speed: Floats64
    apart: Floats64
    squares: Floats64
    ways: Floats64
    turned: Floats64
    rotation: Floats64
    order: Integers


def make_world(env: Any) -> World:
    """Return the compiled form of a DroneTeamCapture environment."""
    model, world = env.model, env.model.world
    drones, arena = model.n_pursuers, model.r_arena
    space = env.action_spaces[env.possible_agents[0]]
    limit = model.observation_limit
    params = DroneTeamCaptureParams(
        low=space.low,
        high=space.high,
        starts=env.model.sample_initial_state().pursuer_states[:, :3].copy(),
        arena=float(arena),
        nearest_start=float(4 * world.agent_radius),
        farthest_start=float(arena - world.agent_radius),
        max_speed=float(model.max_pursuer_vel),
        slowest_target=float(model.target_rel_vel_bounds[0]),
        fastest_target=float(model.target_rel_vel_bounds[1]),
        heard=model.n_com_pursuers,
        sight=math.inf if limit is None else float(limit),
        max_rate=float(model.norm_max_rel_dist_change),
        capture_distance=float(model.capture_radius),
        capture_reward=float(model.R_CAPTURE),
        team_reward=float(model.R_CAPTURE_TEAM),
        formation_reward=float(model.R_Q_COEFF) if model.use_q_reward else 0.0,
        distance_reward=float(model.R_TARGET_DIST_COEFF),
    )
    parts = chipmunk.parts_of(world)

    def make_state(num_envs: int) -> DroneTeamCaptureState:
        bodies = num_envs, drones + 1, chipmunk.BODY_SIZE
        return DroneTeamCaptureState(
            rng=np.zeros((num_envs, python_random.SIZE), np.uint32),
            spaces=chipmunk.make_spaces(parts, num_envs),
            bodies=np.zeros(bodies, np.float32),
            old_bodies=np.zeros(bodies, np.float32),
            distances=np.zeros((num_envs, drones)),
            old_distances=np.zeros((num_envs, drones)),
            directions=np.zeros((num_envs, drones, drones + 1)),
            old_directions=np.zeros((num_envs, drones)),
            target_speed=np.zeros(num_envs),
            apart=np.zeros((num_envs, drones)),
            squares=np.zeros((num_envs, 2 * drones)),
            ways=np.zeros((num_envs, drones + 1, 2)),
            turned=np.zeros((num_envs, drones + 1, 2)),
            rotation=np.zeros((num_envs, 2, 2)),
            order=np.zeros((num_envs, drones), np.int64),
        )

    return World.of(env, params, make_state)


@implements(seed, DroneTeamCaptureParams, lean=True)
def _seed(
    params: DroneTeamCaptureParams, state: DroneTeamCaptureState, env: int, value: Any
) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, DroneTeamCaptureParams, lean=True)
def _reset(
    params: DroneTeamCaptureParams, state: DroneTeamCaptureState, env: int
) -> None:
    bodies, rng, drones = state.bodies[env], state.rng[env], len(params.starts)
    chipmunk.renew(state.spaces, env, bodies)
    for i in range(drones):
        for k in range(3):
            bodies[i, k] = params.starts[i, k]
    nearest, farthest = params.nearest_start, params.farthest_start
    radius = math.sqrt(python_random.random(rng)) * (farthest - nearest) + nearest
    angle = python_random.random(rng) * 2 * math.pi
    bodies[drones, 0] = params.arena + radius * math.cos(angle)
    bodies[drones, 1] = params.arena + radius * math.sin(angle)
    slowest, fastest = params.slowest_target, params.fastest_target
    speed = python_random.random(rng) * (fastest - slowest) + slowest
    state.target_speed[env] = speed * params.max_speed
    _look(state, env)
    _remember(state, env)


@lean_helper
def _remember(state: DroneTeamCaptureState, env: int) -> None:
    """Keep the bodies, distances and directions as those before the next step."""
    for i in range(state.bodies.shape[1]):
        for k in range(chipmunk.BODY_SIZE):
            state.old_bodies[env, i, k] = state.bodies[env, i, k]
    for i in range(state.distances.shape[1]):
        state.old_distances[env, i] = state.distances[env, i]
        state.old_directions[env, i] = state.directions[env, i, -1]


@lean_helper
def _look(state: DroneTeamCaptureState, env: int) -> None:
    """Write the distances of the target and the directions of all bodies."""
    bodies = state.bodies[env]
    drones = len(bodies) - 1
    _measure(bodies, drones, state.squares[env], state.distances[env])
    for i in range(drones):
        _directions(state, env, i)


@lean_helper
def _measure(bodies: Floats32, of: int, squares: Floats64, distances: Floats64) -> None:
    """Write the distances of other bodies from one, as `euclidean_dist`."""
    body = bodies[of]
    for i in range(len(distances)):
        squares[2 * i] = bodies[i, 0] - body[0]
        squares[2 * i + 1] = bodies[i, 1] - body[1]
    if of < len(distances):
        # NumPy's power takes a slow path for zeros, and nobody reads these.
        squares[2 * of] = squares[2 * of + 1] = 1.0
    square64(squares)
    for i in range(len(distances)):
        distances[i] = math.sqrt(squares[2 * i] + squares[2 * i + 1])


@implements(step, DroneTeamCaptureParams, lean=True)
def _step(
    params: DroneTeamCaptureParams,
    state: DroneTeamCaptureState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    bodies, distances = state.bodies[env], state.distances[env]
    target = len(bodies) - 1
    for i in range(target):
        chipmunk.place(state.spaces, env, i, bodies[i])
        turn = core.clip(actions[i, 0], params.low[0], params.high[0])
        speed = 1.0
        if len(params.low) > 1:
            speed = float(core.clip(actions[i, 1], params.low[1], params.high[1]))
        angle = bodies[i, 2] + turn
        core.drive(state.spaces, env, i, angle, speed * params.max_speed)
    chipmunk.place(state.spaces, env, target, bodies[target])
    x, y = _flee(params, bodies, state.target_speed[env])
    chipmunk.move(state.spaces, env, target, bodies[target, 2], x, y)
    _remember(state, env)
    chipmunk.simulate(state.spaces, env, bodies)
    _look(state, env)
    formation = 0.0
    if params.formation_reward != 0.0:
        formation = params.formation_reward * _formation(
            bodies, state.ways[env], distances
        )
    done = False
    for i in range(target):
        rewards[i] = formation + params.distance_reward * distances[i]
        if distances[i] < params.capture_distance:
            done = True
            rewards[i] += params.capture_reward
    if done:
        for i in range(target):
            rewards[i] += params.team_reward
    for i in range(target):
        terminated[i] = done
    return done


@lean_helper
def _repulsion(x: float, y: float, factor: float) -> float:
    """Return what a way to a threat is multiplied by to flee from it."""
    length = abs(x) + abs(y)
    strength = 50000 / power(length + 200, 2.0)
    return -factor * strength / max(0.00001, length)


@lean_helper
def _flee(
    params: DroneTeamCaptureParams, bodies: Floats32, speed: float
) -> tuple[float, float]:
    """Return the velocity with which the target flees."""
    drones, arena = len(bodies) - 1, params.arena
    own = bodies[drones]
    x = y = 0.0
    for i in range(drones):
        way_x, way_y = bodies[i, 0] - own[0], bodies[i, 1] - own[1]
        # float32 as the ways, but their lengths are float64.
        factor = np.float32(_repulsion(np.float64(way_x), np.float64(way_y), 1.0))
        x += factor * way_x
        y += factor * way_y
    angle = -math.atan2(own[1] - arena, own[0] - arena)
    wall_x = (arena + arena * math.cos(angle)) - own[0]
    wall_y = (arena - arena * math.sin(angle)) - own[1]
    repulsion = _repulsion(wall_x, wall_y, 0.5 * drones)
    x += repulsion * wall_x
    y += repulsion * wall_y
    length = abs(x) + abs(y)
    x, y = x / length, y / length
    norm = math.sqrt(dot64(x, y, x, y))
    return speed * x / norm, speed * y / norm


@lean_helper
def _formation(bodies: Floats32, ways: Floats64, distances: Floats64) -> float:
    """Return the Q parameter: how well the drones surround the target."""
    drones = len(distances)
    closest, total = 0, 0.0
    for i in range(drones):
        ways[i, 0] = (bodies[drones, 0] - bodies[i, 0]) / distances[i]
        ways[i, 1] = (bodies[drones, 1] - bodies[i, 1]) / distances[i]
        if distances[i] < distances[closest]:
            closest = i
    one = ways[closest]
    for i in range(drones):
        if i != closest:
            total += dot64(ways[i, 0], ways[i, 1], one[0], one[1]) + 1.0
    return total / drones


@lean_helper
def _half_turn(angle: float) -> float:
    """Return an angle in (-pi, pi], as `convert_angle_to_negpi_pi_interval`."""
    turned = float(angle) % chipmunk.TWO_PI
    return turned - chipmunk.TWO_PI if turned > math.pi else turned


@lean_helper
def _directions(state: DroneTeamCaptureState, env: int, agent: int) -> None:
    """Write where a drone has all bodies."""
    bodies = state.bodies[env]
    body = bodies[agent]
    cos, sin = math.cos(np.float64(body[2])), math.sin(np.float64(body[2]))
    rotation = state.rotation[env]
    rotation[0, 0], rotation[0, 1] = cos, sin
    rotation[1, 0], rotation[1, 1] = -sin, cos
    ways, turned = state.ways[env], state.turned[env]
    for i in range(len(bodies)):
        ways[i, 0] = bodies[i, 0] - body[0]
        ways[i, 1] = bodies[i, 1] - body[1]
    rotate64(rotation, ways, turned)
    for i in range(len(bodies)):
        direction = _half_turn(math.atan2(turned[i, 1], turned[i, 0]))
        state.directions[env, agent, i] = direction / math.pi


@implements(observe, DroneTeamCaptureParams, lean=True)
def _observe(
    params: DroneTeamCaptureParams,
    state: DroneTeamCaptureState,
    env: int,
    agent: int,
    out: Any,
) -> None:
    bodies, old_bodies = state.bodies[env], state.old_bodies[env]
    body, old, target = bodies[agent], old_bodies[agent], len(bodies) - 1
    directions, width = state.directions[env, agent], 2 * params.arena
    old_direction = state.old_directions[env, agent]
    distance = state.distances[env, agent]
    old_distance = state.old_distances[env, agent]
    turn = _half_turn(body[2]) / math.pi
    out[0] = np.float32(turn)
    out[1] = np.float32((turn - _half_turn(old[2]) / math.pi) / 2)
    for k in range(2):
        out[2 + k] = body[k] / np.float32(width) * np.float32(2) + np.float32(-1)
        out[4 + k] = out[6 + k] = -1.0
    if distance <= params.sight:
        out[4] = np.float32(directions[target])
        out[5] = np.float32(distance / width)
        if old_distance <= params.sight:
            change = _half_turn((directions[target] - old_direction) * math.pi)
            out[6] = np.float32(change / math.pi)
            rate = distance / width - old_distance / width
            out[7] = np.float32(
                (rate + params.max_rate) / (params.max_rate + params.max_rate) * 2.0 - 1
            )
    _hear(params, state, env, agent, out[8:])


@lean_helper
def _hear(
    params: DroneTeamCaptureParams,
    state: DroneTeamCaptureState,
    env: int,
    agent: int,
    out: Any,
) -> None:
    """Write direction and distance of the other drones, those that are near first."""
    distances, order = state.apart[env], state.order[env]
    _measure(state.bodies[env], agent, state.squares[env], distances)
    for i in range(len(distances)):
        if i == agent or distances[i] > params.sight:
            distances[i] = np.inf
        j = i
        while j > 0 and distances[order[j - 1]] > distances[i]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = i
    for k in range(params.heard):
        other = order[k]
        known = distances[other] < np.inf
        direction = np.float32(state.directions[env, agent, other])
        distance = np.float32(distances[other] / (2 * params.arena))
        out[2 * k] = direction if known else -1.0
        out[2 * k + 1] = distance if known else -1.0
