"""PursuitEvasionContinuous: one agent runs to its goal, the other looks for it.

Source: `posggym.envs.continuous.pursuit_evasion_continuous`.
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
from posggym_compiled.native import squares64
from posggym_compiled.random import python_random
from posggym_compiled.worlds.continuous import chipmunk, core
from posggym_compiled.worlds.continuous.chipmunk import Spaces
from posggym_compiled.worlds.continuous.rays import (
    Floats32,
    Sensors,
    Sight,
    look,
    make_sensors,
    make_sight,
    see_agents,
    see_obstacles,
)

EVADER, PURSUER = 0, 1


class PursuitEvasionContinuousParams(NamedTuple):
    """Constants of PursuitEvasionContinuous.

    Parameters
    ----------
    sensors
        Rays of an agent.
    low, high
        Bounds of an action: turn, speed; float32 (2,).
    hearing_distance
        How far the agents hear each other.
    touching
        Square of the distance at which agents collide.
    evasion_reward, progress_reward
        Rewards of the evader; the second is 0 where it is not used.
    normalize, lowest_return, return_range
        Whether rewards are rescaled to [-1, 1], and from what.
    evader_starts, pursuer_starts
        float32 (starts, 2).
    goals
        Goals of an evader by its start, float32 (starts, goals, 2).
    num_goals
        Number of goals by the start of the evader, int64 (starts,).
    distances
        Steps to each goal, int64 (starts, goals, columns, rows).
    """

    sensors: Sensors
    low: Floats32
    high: Floats32
    hearing_distance: float
    touching: float
    evasion_reward: float
    progress_reward: float
    normalize: bool
    lowest_return: float
    return_range: float
    evader_starts: Floats32
    pursuer_starts: Floats32
    goals: Floats32
    num_goals: Integers
    distances: Integers


class PursuitEvasionContinuousState(NamedTuple):
    """State of PursuitEvasionContinuous; the first dimension is the environments.

    Parameters
    ----------
    rng
        uint32 (n, 625): Python's random generators.
    spaces
        Physics.
    bodies
        float32 (n, 2, 6): the bodies, in POSGGym's order: the pursuer is first.
    starts
        float32 (n, 2, 2): where evader and pursuer started.
    goals
        int64 (n, 2): number of the evader's start, and of its goal.
    steps_left
        int64 (n,): fewest steps to the goal so far.
    met
        float32 (n, 2, 2, rays): what each agent's rays meet, obstacles and agent.
    sight
        Scratch.
    """

    rng: npt.NDArray[np.uint32]
    spaces: Spaces
    bodies: Floats32
    starts: Floats32
    goals: Integers
    steps_left: Integers
    met: Floats32
    sight: Sight


def make_world(env: Any) -> World:
    """Return the compiled form of a PursuitEvasionContinuous environment.

    Raises
    ------
    UnsupportedError
        If an evader may start where it cannot reach a goal, which POSGGym answers
        with a KeyError, or the world has been used before.
    """
    model, world = env.model, env.model.world
    space = env.action_spaces[env.possible_agents[0]]
    goals = [world.get_goal_coords(start) for start in world.evader_start_coords]
    most = max(map(len, goals))
    # Missing goals repeat the first one, and are never drawn.
    filled = [some + some[:1] * (most - len(some)) for some in goals]
    distances = np.stack([core.path_distances(world, some) for some in filled])
    for start, to_goals in zip(world.evader_start_coords, distances, strict=True):
        column, row = world.convert_to_coord(start)
        if (to_goals[:, column, row] == core.NO_WAY).any():
            raise UnsupportedError("a start of the world has no way to a goal")
    if list(world.entities) != ["pursuer", "evader"]:
        raise UnsupportedError("the bodies come in an unknown order")
    half_view = model.fov / 2
    params = PursuitEvasionContinuousParams(
        sensors=make_sensors(
            world, model.max_obs_distance, model.n_sensors, (-half_view, half_view)
        ),
        low=space.low,
        high=space.high,
        hearing_distance=float(model.HEARING_DIST),
        touching=(world.agent_radius + world.agent_radius) ** 2,
        evasion_reward=model.R_EVASION,
        progress_reward=model.R_PROGRESS if model._use_progress_reward else 0.0,
        normalize=bool(model._normalize_reward),
        lowest_return=float(model._min_raw_return),
        return_range=float(model._max_raw_return - model._min_raw_return),
        evader_starts=np.array(world.evader_start_coords, np.float32),
        pursuer_starts=np.array(world.pursuer_start_coords, np.float32),
        goals=np.array(filled, np.float32),
        num_goals=np.array([len(some) for some in goals]),
        distances=distances,
    )
    parts = chipmunk.parts_of(world)

    def make_state(num_envs: int) -> PursuitEvasionContinuousState:
        return PursuitEvasionContinuousState(
            rng=np.zeros((num_envs, python_random.SIZE), np.uint32),
            spaces=chipmunk.make_spaces(parts, num_envs),
            bodies=np.zeros((num_envs, 2, chipmunk.BODY_SIZE), np.float32),
            starts=np.zeros((num_envs, 2, 2), np.float32),
            goals=np.zeros((num_envs, 2), np.int64),
            steps_left=np.zeros(num_envs, np.int64),
            met=np.zeros((num_envs, 2, 2, model.n_sensors), np.float32),
            sight=make_sight(params.sensors, num_envs, 2),
        )

    return World.of(env, params, make_state)


@implements(seed, PursuitEvasionContinuousParams, lean=True)
def _seed(
    params: PursuitEvasionContinuousParams,
    state: PursuitEvasionContinuousState,
    env: int,
    value: Any,
) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, PursuitEvasionContinuousParams, lean=True)
def _reset(
    params: PursuitEvasionContinuousParams,
    state: PursuitEvasionContinuousState,
    env: int,
) -> None:
    rng = state.rng[env]
    chipmunk.renew(state.spaces, env, state.bodies[env])
    start = python_random.randbelow(rng, len(params.evader_starts))
    _start(state, env, EVADER, params.evader_starts[start])
    pursuer_start = python_random.randbelow(rng, len(params.pursuer_starts))
    _start(state, env, PURSUER, params.pursuer_starts[pursuer_start])
    goal = python_random.randbelow(rng, params.num_goals[start])
    state.goals[env, 0] = start
    state.goals[env, 1] = goal
    place = params.evader_starts[start]
    state.steps_left[env] = core.path_distance(
        params.distances[start, goal], place[0], place[1]
    )
    _look(params, state, env, EVADER)
    _look(params, state, env, PURSUER)


@lean_helper
def _start(
    state: PursuitEvasionContinuousState, env: int, agent: int, place: Floats32
) -> None:
    body = state.bodies[env, 1 - agent]
    for k in range(2):
        body[k] = state.starts[env, agent, k] = place[k]


@implements(step, PursuitEvasionContinuousParams, lean=True)
def _step(
    params: PursuitEvasionContinuousParams,
    state: PursuitEvasionContinuousState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    bodies = state.bodies[env]
    for agent in range(2):
        body = bodies[1 - agent]
        turn = core.clip(actions[agent, 0], params.low[0], params.high[0])
        speed = core.clip(actions[agent, 1], params.low[1], params.high[1])
        chipmunk.place(state.spaces, env, 1 - agent, body)
        core.drive(state.spaces, env, 1 - agent, body[2] + turn, speed)
    chipmunk.simulate(state.spaces, env, bodies)
    _look(params, state, env, EVADER)
    evader, pursuer = bodies[1 - EVADER], bodies[1 - PURSUER]
    start, goal = state.goals[env]
    steps = core.path_distance(params.distances[start, goal], evader[0], evader[1])
    reward = 0.0
    if steps < state.steps_left[env]:
        state.steps_left[env] = steps
        reward += params.progress_reward
    caught = _look(params, state, env, PURSUER) or _touch(params, evader, pursuer)
    escaped = _touch(params, evader, params.goals[start, goal])
    if caught:
        reward -= params.evasion_reward
    elif escaped:
        reward += params.evasion_reward
    if params.normalize:
        reward = 2 * (reward - params.lowest_return) / params.return_range - 1
    rewards[EVADER], rewards[PURSUER] = reward, -reward
    terminated[EVADER] = terminated[PURSUER] = caught or escaped
    return caught or escaped


@lean_helper
def _squares(one: Floats32, other: Floats32) -> float:
    """Return the square of a distance, as `squared_euclidean_dist`."""
    x, y = squares64(np.float64(one[0] - other[0]), np.float64(one[1] - other[1]))
    return x + y


@lean_helper
def _touch(
    params: PursuitEvasionContinuousParams, one: Floats32, other: Floats32
) -> bool:
    return _squares(one, other) <= params.touching


@lean_helper
def _look(
    params: PursuitEvasionContinuousParams,
    state: PursuitEvasionContinuousState,
    env: int,
    agent: int,
) -> bool:
    """Keep what an agent's rays meet, and return whether it sees the other one."""
    own, sensors, sight = state.bodies[env, 1 - agent], params.sensors, state.sight
    look(sensors, sight, env, own)
    for i in range(2):
        sight.visible[env, i] = i == agent
    # Bodies are in the other order: that of the opponent has the agent's number.
    see_agents(sensors, sight, env, own, state.bodies[env], 0, 2, 0)
    see_obstacles(sensors, sight, env, own, 0)
    any_met = False
    for i in range(len(sensors.angles)):
        met = sight.agent_met[env, i]
        any_met = any_met or met
        state.met[env, agent, 0, i] = state.met[env, agent, 1, i] = sensors.reach
        state.met[env, agent, int(met), i] = sight.distances[env, 0, i]
    return any_met


@implements(observe, PursuitEvasionContinuousParams, lean=True)
def _observe(
    params: PursuitEvasionContinuousParams,
    state: PursuitEvasionContinuousState,
    env: int,
    agent: int,
    out: Any,
) -> None:
    rays = len(params.sensors.angles)
    own, other = state.bodies[env, 1 - agent], state.bodies[env, agent]
    start, goal = state.goals[env]
    for i in range(rays):
        out[i] = state.met[env, agent, 0, i]
        out[rays + i] = state.met[env, agent, 1, i]
    rest = out[2 * rays :]
    rest[0] = math.sqrt(_squares(own, other)) <= params.hearing_distance
    for k in range(2):
        rest[1 + k] = state.starts[env, EVADER, k]
        rest[3 + k] = state.starts[env, PURSUER, k]
        rest[5 + k] = params.goals[start, goal, k] if agent == EVADER else 0.0
