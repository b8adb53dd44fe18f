"""Compiled continuous worlds play the episodes of POSGGym's, bit for bit."""

import gc
import os

import numpy as np
import posggym
import psutil
import pytest
from posggym.envs.continuous.driving_continuous import parseworld_str
from side_by_side import check_episode, check_world, random_actions

from posggym_compiled.interface import UnsupportedError, world_for

# POSGGym takes half a second for an episode. The long form is for changes of a world.
EPISODES = 250 if os.environ.get("COMPILED_LONG") else 3


def check(env_id, env_args):
    check_world(env_id, env_args, EPISODES, repeat=0.5, renew=True)


DRIVING = [
    {},
    {"world": "6x6Intersection", "num_agents": 3, "obs_dist": 2.5, "n_sensors": 7},
    {"world": "7x7Blocks", "num_agents": 1, "obs_dist": 20.0},
    {"world": "7x7CrissCross", "num_agents": 6, "n_sensors": 1},
    {"world": "7x7RoundAbout", "num_agents": 4},
    {"world": "14x14Blocks", "num_agents": 4, "obs_dist": 1.0},
    {"world": "14x14CrissCross", "num_agents": 8, "n_sensors": 33},
]


@pytest.mark.parametrize("env_args", DRIVING, ids=str)
def test_driving(env_args):
    check("DrivingContinuous-v0", env_args)


def custom_world():
    return parseworld_str("0..-\n.#.#\n...a\n-+.1\n", 2)


def test_world_object():
    world = world_for("DrivingContinuous-v0", world=custom_world())
    rng = np.random.default_rng(0)
    state = world.make_state(1)
    for seed in range(EPISODES):
        env = posggym.make("DrivingContinuous-v0", world=custom_world())
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
