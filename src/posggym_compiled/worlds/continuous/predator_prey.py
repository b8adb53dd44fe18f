"""PredatorPreyContinuous: predators that catch prey, which flees by itself.

Without cooperation, POSGGym shares the reward among the predators that are near where
a prey was before the step, and fails with a ZeroDivisionError if there are none. Here,
nobody gets that reward then.

Source: `posggym.envs.continuous.predator_prey_continuous`.
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
from posggym_compiled.random import python_random
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


class PredatorPreyContinuousParams(NamedTuple):
    """Constants of PredatorPreyContinuous.

    Parameters
    ----------
    sensors
        Rays of a predator.
    low, high
        Bounds of an action: turn, speed; float32 (2,).
    predators
        Number of predators.
    predator_starts, prey_starts
        Where they may start: x, y, angle; float32 (starts, 3).
    strength
        Number of predators that it takes to catch a prey.
    capture_distance
        How near they have to be.
    prey_sight, prey_speed
        How far prey sees, and how fast it flees.
    prey_reward
        Reward for each prey.
    cooperative
        Whether all predators get it, or those that caught the prey share it.
    """

    sensors: Sensors
    low: Floats32
    high: Floats32
    predators: int
    predator_starts: Floats32
    prey_starts: Floats32
    strength: int
    capture_distance: np.float32
    prey_sight: float
    prey_speed: float
    prey_reward: float
    cooperative: bool


class PredatorPreyContinuousState(NamedTuple):
    """State of PredatorPreyContinuous; the first dimension is the environments.

    Parameters
    ----------
    rng
        uint32 (n, 625): Python's random generators.
    spaces
        Physics.
    bodies
        float32 (n, predators + prey, 6): the bodies, predators first.
    caught
        bool (n, predators + prey): which prey has been caught.
    old_bodies, was_caught
        The same before the step.
    angles
        float64 (n, predators + prey): where prey turns.
    sight
        Scratch.
    distances
        float32 (n, predators + prey): scratch.
    order
        int64 (n, most starts): scratch.
    """

    rng: npt.NDArray[np.uint32]
    spaces: Spaces
    bodies: Floats32
    caught: Flags
    old_bodies: Floats32
    was_caught: Flags
    angles: npt.NDArray[np.float64]
    sight: Sight
    distances: Floats32
    order: Integers


def make_world(env: Any) -> World:
    """Return the compiled form of a PredatorPreyContinuous environment.

    Raises
    ------
    UnsupportedError
        If the world has been used before.
    """
    model, world = env.model, env.model.world
    space = env.action_spaces[env.possible_agents[0]]
    starts = world.predator_start_positions, world.prey_start_positions
    params = PredatorPreyContinuousParams(
        sensors=make_sensors(world, model.obs_dist, model.n_sensors),
        low=space.low,
        high=space.high,
        predators=model.num_predators,
        predator_starts=np.array(starts[0], np.float32),
        prey_starts=np.array(starts[1], np.float32),
        strength=model.prey_strength,
        capture_distance=np.float32(model.prey_capture_dist),
        prey_sight=float(model.prey_obs_dist),
        prey_speed=float(model.PREY_STEP_VEL),
        prey_reward=float(model.per_prey_reward),
        cooperative=bool(model.cooperative),
    )
    parts = chipmunk.parts_of(world)

    def make_state(num_envs: int) -> PredatorPreyContinuousState:
        shape = num_envs, model.num_predators + model.num_prey
        bodies = *shape, chipmunk.BODY_SIZE
        return PredatorPreyContinuousState(
            rng=np.zeros((num_envs, python_random.SIZE), np.uint32),
            spaces=chipmunk.make_spaces(parts, num_envs),
            bodies=np.zeros(bodies, np.float32),
            caught=np.zeros(shape, np.bool_),
            old_bodies=np.zeros(bodies, np.float32),
            was_caught=np.zeros(shape, np.bool_),
            angles=np.zeros(shape),
            sight=make_sight(params.sensors, num_envs, shape[1]),
            distances=np.zeros(shape, np.float32),
            order=np.zeros((num_envs, max(map(len, starts))), np.int64),
        )

    return World.of(env, params, make_state)


@implements(seed, PredatorPreyContinuousParams, lean=True)
def _seed(
    params: PredatorPreyContinuousParams,
    state: PredatorPreyContinuousState,
    env: int,
    value: Any,
) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, PredatorPreyContinuousParams, lean=True)
def _reset(
    params: PredatorPreyContinuousParams, state: PredatorPreyContinuousState, env: int
) -> None:
    bodies, predators = state.bodies[env], params.predators
    chipmunk.renew(state.spaces, env, bodies)
    _start(state, env, params.predator_starts, bodies[:predators])
    _start(state, env, params.prey_starts, bodies[predators:])
    for i in range(len(bodies)):
        state.caught[env, i] = False


@lean_helper
def _start(
    state: PredatorPreyContinuousState, env: int, starts: Floats32, bodies: Floats32
) -> None:
    """Draw where bodies start, all at different places."""
    order = state.order[env, : len(starts)]
    for i in range(len(order)):
        order[i] = i
    python_random.shuffle(state.rng[env], order)
    for i in range(len(bodies)):
        for k in range(3):
            bodies[i, k] = starts[order[i], k]


@implements(step, PredatorPreyContinuousParams, lean=True)
def _step(
    params: PredatorPreyContinuousParams,
    state: PredatorPreyContinuousState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    bodies, caught = state.bodies[env], state.caught[env]
    predators = params.predators
    for i in range(len(bodies)):
        state.was_caught[env, i] = caught[i]
        for k in range(chipmunk.BODY_SIZE):
            state.old_bodies[env, i, k] = bodies[i, k]
    for i in range(predators, len(bodies)):
        state.angles[env, i] = _flee(params, state, env, i)
    for i in range(len(bodies)):
        chipmunk.place(state.spaces, env, i, bodies[i])
        if i < predators:
            turn = core.clip(actions[i, 0], params.low[0], params.high[0])
            speed = core.clip(actions[i, 1], params.low[1], params.high[1])
            core.drive(state.spaces, env, i, bodies[i, 2] + turn, speed)
        elif not caught[i]:
            core.drive(state.spaces, env, i, state.angles[env, i], params.prey_speed)
    chipmunk.simulate(state.spaces, env, bodies)
    all_done = True
    for i in range(predators, len(bodies)):
        if not caught[i]:
            caught[i] = _captors(params, bodies, bodies[i]) >= params.strength
        if caught[i]:
            bodies[i, 0] = bodies[i, 1] = -1
            for k in range(2, chipmunk.BODY_SIZE):
                bodies[i, k] = 0
        all_done = all_done and caught[i]
    _reward(params, state, env, rewards)
    for i in range(predators):
        terminated[i] = all_done
    return all_done


@lean_helper
def _flee(
    params: PredatorPreyContinuousParams,
    state: PredatorPreyContinuousState,
    env: int,
    i: int,
) -> float:
    """Return where a prey turns: away from what is nearest, or anywhere."""
    rng, bodies, caught = state.rng[env], state.bodies[env], state.caught[env]
    if caught[i]:
        return 0.0
    distances = state.distances[env]
    predators, free = params.predators, 0
    for j in range(predators):
        distances[j] = _distance(bodies[i], bodies[j])
    nearest = _choose_nearest(params, rng, distances[:predators])
    if nearest >= 0:
        return _away(bodies[i], bodies[nearest])
    for j in range(predators, len(bodies)):
        if not caught[j] and j != i:
            distances[free] = core.between(bodies[i], bodies[j])
            free += 1
    if free:
        # POSGGym counts the prey that is left, and takes the number for one of all.
        nearest = _choose_nearest(params, rng, distances[:free])
        if nearest >= 0:
            return _away(bodies[i], bodies[predators + nearest])
    return python_random.uniform(rng, 0.0, chipmunk.TWO_PI)


@lean_helper
def _choose_nearest(
    params: PredatorPreyContinuousParams, rng: Any, distances: Floats32
) -> int:
    """Draw one of those that are nearest; -1 if a prey sees none."""
    nearest, count = distances[0], 0
    for distance in distances:
        nearest = min(nearest, distance)
    if nearest > params.prey_sight:
        return -1
    for distance in distances:
        count += distance == nearest
    chosen = python_random.randbelow(rng, count)
    for j in range(len(distances)):
        if distances[j] == nearest:
            if chosen == 0:
                return j
            chosen -= 1
    return -1


@lean_helper
def _away(place: Floats32, other: Floats32) -> float:
    return math.atan2(np.float64(place[1] - other[1]), np.float64(place[0] - other[0]))


@lean_helper
def _distance(place: Floats32, other: Floats32) -> np.float32:
    """Return the distance of two places, as one row of `np.linalg.norm(axis=1)`."""
    x, y = place[0] - other[0], place[1] - other[1]
    return np.float32(math.sqrt(x * x + y * y))


@lean_helper
def _captors(
    params: PredatorPreyContinuousParams, bodies: Floats32, prey: Floats32
) -> int:
    """Return how many predators are near enough to a prey to catch it."""
    count = 0
    for j in range(params.predators):
        count += _distance(prey, bodies[j]) <= params.capture_distance
    return count


@lean_helper
def _reward(
    params: PredatorPreyContinuousParams,
    state: PredatorPreyContinuousState,
    env: int,
    rewards: Any,
) -> None:
    bodies, new = state.bodies[env], 0
    for i in range(params.predators):
        rewards[i] = 0.0
    for i in range(params.predators, len(bodies)):
        if state.caught[env, i] and not state.was_caught[env, i]:
            new += 1
            # Where it was before the step, to where they are after it.
            prey = state.old_bodies[env, i]
            captors = _captors(params, bodies, prey)
            if not params.cooperative:
                for j in range(params.predators):
                    if _distance(prey, bodies[j]) <= params.capture_distance:
                        rewards[j] += params.prey_reward / captors
    if params.cooperative:
        for i in range(params.predators):
            rewards[i] = new * params.prey_reward


@implements(observe, PredatorPreyContinuousParams, lean=True)
def _observe(
    params: PredatorPreyContinuousParams,
    state: PredatorPreyContinuousState,
    env: int,
    agent: int,
    out: Any,
) -> None:
    bodies, predators = state.bodies[env], params.predators
    sensors, sight, own = params.sensors, state.sight, bodies[agent]
    look(sensors, sight, env, own)
    for i in range(len(bodies)):
        sight.visible[env, i] = i != agent and not state.caught[env, i]
    see_obstacles(sensors, sight, env, own, 0)
    see_agents(sensors, sight, env, own, bodies, 0, predators, 1)
    see_agents(sensors, sight, env, own, bodies, predators, len(bodies), 2)
    rays, distances = len(sensors.angles), sight.distances[env]
    for i in range(rays):
        nearest = 0
        for kind in range(3):
            out[kind * rays + i] = np.float32(sensors.reach)
            if distances[kind, i] < distances[nearest, i]:
                nearest = kind
        out[nearest * rays + i] = distances[nearest, i]
