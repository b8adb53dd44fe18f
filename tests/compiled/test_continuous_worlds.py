"""Compiled continuous worlds play the episodes of POSGGym's, bit for bit."""

import gc
import os

import numpy as np
import posggym
import psutil
import pytest
from posggym.envs.continuous import (
    driving_continuous,
    predator_prey_continuous,
    pursuit_evasion_continuous,
)
from side_by_side import case_name, check_episode, check_world, random_actions

from posggym_compiled.interface import UnsupportedError, world_for

# POSGGym takes half a second for an episode. The long form is for changes of a world.
EPISODES = 250 if os.environ.get("COMPILED_LONG") else 3


def check(env_id, env_args, fails=()):
    check_world(env_id, env_args, EPISODES, repeat=0.5, renew=True, fails=fails)


DRIVING = [
    {},
    {"world": "6x6Intersection", "num_agents": 3, "obs_dist": 2.5, "n_sensors": 7},
    {"world": "7x7Blocks", "num_agents": 1, "obs_dist": 20.0},
    {"world": "7x7CrissCross", "num_agents": 6, "n_sensors": 1},
    {"world": "7x7RoundAbout", "num_agents": 4},
    {"world": "14x14Blocks", "num_agents": 4, "obs_dist": 1.0},
    {"world": "14x14CrissCross", "num_agents": 8, "n_sensors": 33},
]


@pytest.mark.parametrize("env_args", DRIVING, ids=case_name)
def test_driving(env_args):
    check("DrivingContinuous-v0", env_args)


PREDATOR_PREY = [
    {},
    {"world": "5x5", "num_predators": 4, "num_prey": 2, "prey_strength": 2},
    {"world": "5x5Blocks", "num_prey": 4, "obs_dist": 1.5, "n_sensors": 5},
    {"world": "10x10Blocks", "num_predators": 3, "num_prey": 1, "n_sensors": 33},
    {"num_prey": 1, "prey_strength": 1, "cooperative": False},
    {"world": "15x15", "num_prey": 6, "prey_strength": 1, "cooperative": False},
    {"world": "20x20Blocks", "num_predators": 8, "prey_strength": 1, "obs_dist": 20.0},
]


@pytest.mark.parametrize("env_args", PREDATOR_PREY, ids=case_name)
def test_predator_prey(env_args):
    # POSGGym divides by the predators around the place that a prey has left.
    check("PredatorPreyContinuous-v0", env_args, (ZeroDivisionError,))


PURSUIT_EVASION = [
    {},
    {"world": "8x8", "fov": 6.0, "n_sensors": 7},
    {"world": "8x8", "use_progress_reward": False, "fov": 0.5, "n_sensors": 1},
    {"world": "16x16", "max_obs_distance": 20.0, "n_sensors": 33},
    {"world": "32x32", "normalize_reward": False, "max_obs_distance": 3.0},
]


@pytest.mark.parametrize("env_args", PURSUIT_EVASION, ids=case_name)
def test_pursuit_evasion(env_args):
    check("PursuitEvasionContinuous-v0", env_args)


DRONE_TEAM_CAPTURE = [
    {},
    {"num_agents": 8, "n_communicating_pursuers": 4, "velocity_control": True},
    {"num_agents": 2, "arena_radius": 200, "observation_limit": 150.0},
    {"num_agents": 5, "arena_radius": 300.5, "capture_radius": 60},
    {"use_q_reward": True, "observation_limit": 100, "capture_radius": 90.5},
]


@pytest.mark.parametrize("env_args", DRONE_TEAM_CAPTURE, ids=case_name)
def test_drone_team_capture(env_args):
    check("DroneTeamCapture-v0", env_args)


OBJECTS = {
    "DrivingContinuous-v0": lambda: driving_continuous.parseworld_str(
        "0..-\n.#.#\n...a\n-+.1\n", 2
    ),
    "PredatorPreyContinuous-v0": lambda: predator_prey_continuous.parse_world_str(
        "P....P\n..##..\n.p....\n....p.\n.#..p.\nP....P\n"
    ),
    "PursuitEvasionContinuous-v0": (
        lambda: pursuit_evasion_continuous.convert_map_to_world(
            "9 # 8\n  # 7\n 5   \n# # 2\n0 1# \n", 5, 5
        )
    ),
}


@pytest.mark.parametrize("env_id", OBJECTS)
def test_world_object(env_id):
    world = world_for(env_id, world=OBJECTS[env_id]())
    rng = np.random.default_rng(0)
    state = world.make_state(1)
    for seed in range(EPISODES):
        env = posggym.make(env_id, world=OBJECTS[env_id]())
        actions = random_actions(world, rng, world.max_episode_steps, 0.5)
        check_episode(world, state, env, seed, actions, False)


def test_world_of_another_environment():
    # POSGGym leaves the vehicles of that environment in it.
    world = posggym.make("DrivingContinuous-v0").model.world
    with pytest.raises(UnsupportedError, match="used by another environment"):
        world_for("DrivingContinuous-v0", world=world)


def test_states_free_their_physics():
    world = world_for("DrivingContinuous-v0")
    process = psutil.Process()
    sizes = []
    for _ in range(3):
        for _ in range(10):
            world.make_state(50)
        gc.collect()
        sizes.append(process.memory_info().rss)
    # 500 spaces that are never freed would take ten times as much.
    assert sizes[-1] - sizes[0] < 5e6
