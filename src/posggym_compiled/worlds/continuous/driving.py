"""DrivingContinuous: vehicles that cross a world without crashing into each other.

Source: `posggym.envs.continuous.driving_continuous`.
"""

from __future__ import annotations

import math
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
from posggym_compiled.worlds.continuous import chipmunk, core
from posggym_compiled.worlds.continuous.chipmunk import Spaces
from posggym_compiled.worlds.continuous.rays import (
    Flags,
    Floats32,
    Sensors,
    Sight,
    look,
    make_sensors,
    make_sight,
    see_agents,
    see_obstacles,
)
from posggym_compiled.worlds.ways import NUM_SETS, clear_ways, draw_way


class DrivingContinuousParams(NamedTuple):
    """Constants of DrivingContinuous.

    Parameters
    ----------
    sensors
        Rays of a vehicle.
    low, high
        Bounds of an action: turn, acceleration; float32 (2,).
    max_speed
        Limit of the speed.
    crash_distance, arrival_distance
        Vehicles this near to each other crash, and arrive this near to their
        destination.
    crash_reward, arrival_reward, step_reward, progress_reward
        Rewards.
    places, hashes
        Where vehicles may start and go: x and y, float32 (places, 2), and Python's
        hashes of them.
    distances
        Steps to each place that is a destination, int64 (places, columns, rows).
    starts, dests
        Places where each vehicle may start and go, as Python sets, (agents, length).
    """

    sensors: Sensors
    low: Floats32
    high: Floats32
    max_speed: float
    crash_distance: float
    arrival_distance: float
    crash_reward: float
    arrival_reward: float
    step_reward: float
    progress_reward: float
    places: Floats32
    hashes: Integers
    distances: Integers
    starts: Integers
    dests: Integers


class DrivingContinuousState(NamedTuple):
    """State of DrivingContinuous; the first dimension is the environments.

    Parameters
    ----------
    rng
        uint32 (n, 625): Python's random generators.
    spaces
        Physics.
    vehicles
        float32 (n, agents, 6): the bodies.
    dests
        int64 (n, agents): place where each vehicle goes.
    reached, crashed, was_over
        bool (n, agents): arrived, crashed, and either of them before the step.
    hit
        bool (n, agents): crashed in this step.
    min_dists, old_min_dists
        float32 (n, agents): fewest steps to the destination so far, and before.
    sight
        Scratch.
    sets
        int64 (n, NUM_SETS, length): of `draw_way`.
    """

    rng: npt.NDArray[np.uint32]
    spaces: Spaces
    vehicles: Floats32
    dests: Integers
    reached: Flags
    crashed: Flags
    was_over: Flags
    hit: Flags
    min_dists: Floats32
    old_min_dists: Floats32
    sight: Sight
    sets: Integers


def make_world(env: Any) -> World:
    """Return the compiled form of a DrivingContinuous environment.

    Raises
    ------
    UnsupportedError
        If vehicles may start where they cannot reach a destination, which POSGGym
        answers with a KeyError, or the world has been used before.
    """
    model, world = env.model, env.model.world
    agents = len(env.possible_agents)
    places = sorted(set().union(*world.start_coords, *world.dest_coords))
    numbers = {place: number for number, place in enumerate(places)}
    dests = sorted(set().union(*world.dest_coords))
    distances = np.full((len(places), *[2 + math.ceil(world.size)] * 2), core.NO_WAY)
    distances[[numbers[dest] for dest in dests]] = core.path_distances(world, dests)
    starts = set().union(*world.start_coords)
    columns, rows = np.transpose([world.convert_to_coord(start) for start in starts])
    from_starts = distances[[numbers[dest] for dest in dests]][:, columns, rows]
    if (from_starts == core.NO_WAY).any():
        raise UnsupportedError("a start of the world has no way to a destination")
    length = python_sets.set_length(len(places))
    space = env.action_spaces[env.possible_agents[0]]
    params = DrivingContinuousParams(
        sensors=make_sensors(world, model.obs_dist, model.n_sensors),
        low=space.low,
        high=space.high,
        max_speed=model.vel_limit_norm,
        crash_distance=model.vehicle_collision_dist,
        arrival_distance=world.agent_radius,
        crash_reward=model.R_CRASH_VEHICLE,
        arrival_reward=model.R_DESTINATION_REACHED,
        step_reward=model.R_STEP_COST,
        progress_reward=model.R_PROGRESS,
        places=np.array(places, np.float32),
        hashes=python_sets.hashes_of(places),
        distances=distances,
        starts=_sets(world.start_coords[:agents], numbers, length),
        dests=_sets(world.dest_coords[:agents], numbers, length),
    )

    parts = chipmunk.parts_of(world)

    def make_state(num_envs: int) -> DrivingContinuousState:
        shape = num_envs, agents
        return DrivingContinuousState(
            rng=np.zeros((num_envs, python_random.SIZE), np.uint32),
            spaces=chipmunk.make_spaces(parts, num_envs),
            vehicles=np.zeros((*shape, chipmunk.BODY_SIZE), np.float32),
            dests=np.zeros(shape, np.int64),
            reached=np.zeros(shape, np.bool_),
            crashed=np.zeros(shape, np.bool_),
            was_over=np.zeros(shape, np.bool_),
            hit=np.zeros(shape, np.bool_),
            min_dists=np.zeros(shape, np.float32),
            old_min_dists=np.zeros(shape, np.float32),
            sight=make_sight(params.sensors, num_envs, agents),
            sets=np.zeros((num_envs, NUM_SETS, length), np.int64),
        )

    return World.of(env, params, make_state)


def _sets(sets: list[set[Any]], numbers: dict[Any, int], length: int) -> Integers:
    return np.stack([python_sets.set_of(s, numbers, length) for s in sets])


@implements(seed, DrivingContinuousParams, lean=True)
def _seed(
    params: DrivingContinuousParams,
    state: DrivingContinuousState,
    env: int,
    value: Any,
) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, DrivingContinuousParams, lean=True)
def _reset(
    params: DrivingContinuousParams, state: DrivingContinuousState, env: int
) -> None:
    vehicles = state.vehicles[env]
    chipmunk.renew(state.spaces, env, vehicles)
    rng, sets = state.rng[env], state.sets[env]
    clear_ways(sets)
    for i in range(len(vehicles)):
        start, dest = draw_way(
            rng, params.hashes, params.starts[i], params.dests[i], sets
        )
        vehicles[i, 0], vehicles[i, 1] = params.places[start]
        state.dests[env, i] = dest
        state.reached[env, i] = False
        state.crashed[env, i] = False
        state.min_dists[env, i] = core.path_distance(
            params.distances[dest], vehicles[i, 0], vehicles[i, 1]
        )


@implements(step, DrivingContinuousParams, lean=True)
def _step(
    params: DrivingContinuousParams,
    state: DrivingContinuousState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    vehicles = state.vehicles[env]
    for i in range(len(vehicles)):
        state.was_over[env, i] = state.reached[env, i] or state.crashed[env, i]
        state.old_min_dists[env, i] = state.min_dists[env, i]
        _steer(params, state, env, i, actions[i])
    chipmunk.simulate(state.spaces, env, vehicles)
    for i in range(len(vehicles)):
        _arrive(params, state, env, i)
    all_done = True
    for i in range(len(vehicles)):
        rewards[i] = _reward(params, state, env, i)
        terminated[i] = state.reached[env, i] or state.crashed[env, i]
        all_done = all_done and terminated[i]
    return all_done


@lean_helper
def _steer(
    params: DrivingContinuousParams,
    state: DrivingContinuousState,
    env: int,
    i: int,
    action: Any,
) -> None:
    """Put a vehicle into the world with its new velocity."""
    vehicle = state.vehicles[env, i]
    chipmunk.place(state.spaces, env, i, vehicle)
    if state.was_over[env, i]:
        chipmunk.move(state.spaces, env, i, vehicle[2], 0.0, 0.0)
        return
    turn = core.clip(action[0], params.low[0], params.high[0])
    acceleration = core.clip(action[1], params.low[1], params.high[1])
    angle = vehicle[2] + turn
    x, y = core.rotated(vehicle[3], vehicle[4], turn)
    ahead_x, ahead_y = core.heading(angle)
    x, y = core.clamp_norm(
        x + acceleration * ahead_x, y + acceleration * ahead_y, params.max_speed
    )
    chipmunk.move(state.spaces, env, i, angle, x, y)


@lean_helper
def _arrive(
    params: DrivingContinuousParams, state: DrivingContinuousState, env: int, i: int
) -> None:
    """Find out whether a vehicle has crashed or arrived, after those before it."""
    vehicle, dest = state.vehicles[env, i], state.dests[env, i]
    vehicle[2] = np.float64(vehicle[2]) % chipmunk.TWO_PI
    vehicle[3] = core.clip(vehicle[3], np.float32(-1), np.float32(1))
    vehicle[4] = core.clip(vehicle[4], np.float32(-1), np.float32(1))
    to_dest = core.between(params.places[dest], vehicle)
    state.reached[env, i] = to_dest <= params.arrival_distance
    state.hit[env, i] = False
    for j in range(i):
        if core.between(state.vehicles[env, j], vehicle) <= params.crash_distance:
            state.hit[env, i] = True
            if not state.reached[env, j]:
                state.crashed[env, j] = True
                state.hit[env, j] = True
    state.crashed[env, i] = state.crashed[env, i] or state.hit[env, i]
    steps = core.path_distance(params.distances[dest], vehicle[0], vehicle[1])
    if steps < state.min_dists[env, i]:
        state.min_dists[env, i] = steps


@lean_helper
def _reward(
    params: DrivingContinuousParams, state: DrivingContinuousState, env: int, i: int
) -> float:
    if state.was_over[env, i]:
        reward = 0.0
    elif state.hit[env, i]:
        reward = params.crash_reward
    elif state.reached[env, i]:
        reward = params.arrival_reward
    else:
        reward = params.step_reward
    progress = state.old_min_dists[env, i] - state.min_dists[env, i]
    if progress > 0:
        reward += progress * params.progress_reward
    return reward


@implements(observe, DrivingContinuousParams, lean=True)
def _observe(
    params: DrivingContinuousParams,
    state: DrivingContinuousState,
    env: int,
    agent: int,
    out: Any,
) -> None:
    vehicles, rays = state.vehicles[env], len(params.sensors.angles)
    if state.reached[env, agent] or state.crashed[env, agent]:
        for i in range(2 * rays + 5):
            out[i] = 0
        return
    vehicle, dest = vehicles[agent], params.places[state.dests[env, agent]]
    sensors, sight = params.sensors, state.sight
    look(sensors, sight, env, vehicle)
    for i in range(len(vehicles)):
        sight.visible[env, i] = i != agent
    see_agents(sensors, sight, env, vehicle, vehicles, 0, len(vehicles), 0)
    see_obstacles(sensors, sight, env, vehicle, 0)
    for i in range(rays):
        out[i] = out[rays + i] = np.float32(sensors.reach)
        met = sight.agent_met[env, i]
        out[rays + i if met else i] = sight.distances[env, 0, i]
    own = out[2 * rays :]
    own[0] = np.float32(np.float64(vehicle[2]) % chipmunk.TWO_PI)
    own[1], own[2] = vehicle[3], vehicle[4]
    own[3], own[4] = abs(dest[0] - vehicle[0]), abs(dest[1] - vehicle[1])
