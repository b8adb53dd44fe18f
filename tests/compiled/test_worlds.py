"""Compiled worlds play the episodes of POSGGym's environments, bit for bit."""

import gc

import posggym
import psutil
import pytest
from posggym.envs.continuous import (
    driving_continuous,
    predator_prey_continuous,
    pursuit_evasion_continuous,
)

from cases import COMPARISONS
from posggym_compiled.interface import MODULES, UnsupportedError, world_for
from side_by_side import case_name, check_networks, check_random

CASES = [
    (env_id, env_args)
    for env_id, comparison in COMPARISONS.items()
    for env_args in comparison.arguments
]


def test_all_environments_of_posggym_are_compared():
    own = {
        env_id
        for env_id, spec in posggym.envs.registry.items()
        if str(spec.entry_point).startswith("posggym.envs.")
    }
    assert set(COMPARISONS) == set(MODULES) == own


@pytest.mark.parametrize(("env_id", "env_args"), CASES, ids=case_name)
def test_episodes_are_those_of_posggym(env_id, env_args):
    world, like = world_for(env_id, **env_args), COMPARISONS[env_id]
    check_random(env_id, env_args, world, like.episodes, like.repeat, like.fails)
    check_networks(env_id, env_args, world, 1, like.fails)


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
    def env_args():
        return {"world": OBJECTS[env_id]()}

    check_random(env_id, env_args, world_for(env_id, **env_args()), 3)


@pytest.mark.parametrize("env_id", ["DrivingContinuous-v0"])
def test_world_of_another_environment(env_id):
    # POSGGym leaves the vehicles of that environment in it.
    world = posggym.make(env_id).model.world
    with pytest.raises(UnsupportedError, match="used by another environment"):
        world_for(env_id, world=world)


@pytest.mark.parametrize("env_id", ["DrivingContinuous-v0"])
def test_states_free_their_physics(env_id):
    world = world_for(env_id)
    process = psutil.Process()
    sizes = []
    for _ in range(3):
        for _ in range(10):
            world.make_state(50)
        gc.collect()
        sizes.append(process.memory_info().rss)
    # 500 spaces that are never freed would take ten times as much.
    assert sizes[-1] - sizes[0] < 5e6
