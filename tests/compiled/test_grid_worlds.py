"""Compiled grid worlds play the episodes of POSGGym's, bit for bit."""

import pytest
from posggym.envs.grid_world.driving import parse_grid_str
from posggym.envs.grid_world.uav import UAVGrid
from side_by_side import case_name, check_world

CUSTOM_GRID = "0+.-b\n.#.#.\n...#a\n-+..1\n"

DRIVING = [
    {},
    {"grid": "3x3"},
    {"grid": "6x6Intersection", "num_agents": 4},
    {"grid": "7x7Blocks", "num_agents": 3},
    {"grid": "7x7CrissCross", "num_agents": 6, "obs_dim": (1, 0, 0)},
    {"grid": "7x7RoundAbout", "num_agents": 1},
    {"grid": "14x14Blocks", "num_agents": 4, "obs_dim": (2, 3, 5)},
    {"grid": "14x14CrissCross", "num_agents": 8},
    {"grid": "14x14RoundAbout", "num_agents": 4, "obs_dim": (5, 2, 1)},
    pytest.param(
        {"grid": parse_grid_str(CUSTOM_GRID, 2), "obs_dim": (4, 0, 2)}, id="custom grid"
    ),
]


@pytest.mark.parametrize("env_args", DRIVING, ids=case_name)
def test_driving(env_args):
    check_world("Driving-v1", env_args, repeat=0.3)


COOPERATIVE_REACHING = [
    {},
    {"size": 3, "obs_distance": 0},
    {"size": 6, "mode": "square", "num_goals": 7, "obs_distance": 2},
    {"size": 5, "mode": "line", "num_goals": 3, "obs_distance": 1},
]


@pytest.mark.parametrize("env_args", COOPERATIVE_REACHING, ids=case_name)
def test_cooperative_reaching(env_args):
    check_world("CooperativeReaching-v0", env_args, repeat=0.3)


TWO_PATHS = [
    {},
    {"grid_size": 3, "action_probs": 0.5},
    {"grid_size": 4, "action_probs": (0.9, 0.6)},
    {"grid_size": 7, "action_probs": (0.8, 1.0)},
]


@pytest.mark.parametrize("env_args", TWO_PATHS, ids=case_name)
def test_two_paths(env_args):
    check_world("TwoPaths-v0", env_args, repeat=0.3)


UAV = [
    {},
    {"grid": 3},
    {"grid": 8},
    {"grid": UAVGrid(5, 5, {(1, 1), (3, 3)}, init_uav_coords=[(0, 0), (4, 4)])},
]


@pytest.mark.parametrize("env_args", UAV, ids=case_name)
def test_uav(env_args):
    check_world("UAV-v0", env_args, repeat=0.3)


PURSUIT_EVASION = [
    {},
    {"grid": "8x8"},
    {"grid": "8x8", "max_obs_distance": 3, "use_progress_reward": False},
    {"grid": "16x16", "max_obs_distance": 5},
]


@pytest.mark.parametrize("env_args", PURSUIT_EVASION, ids=case_name)
def test_pursuit_evasion(env_args):
    check_world("PursuitEvasion-v1", env_args, repeat=0.3)


PREDATOR_PREY = [
    {},
    {"grid": "5x5", "num_prey": 1, "obs_dim": 1, "prey_strength": 1},
    {"grid": "5x5Blocks", "num_predators": 3, "num_prey": 3, "obs_dim": 1},
    {"grid": "10x10Blocks", "num_predators": 4, "cooperative": False},
    {"num_predators": 8, "num_prey": 5, "prey_strength": 1, "cooperative": False},
    {"grid": "15x15Blocks", "num_predators": 8, "num_prey": 8, "prey_strength": 2},
    {"grid": "20x20", "num_predators": 2, "num_prey": 12, "obs_dim": 4},
]


@pytest.mark.parametrize("env_args", PREDATOR_PREY, ids=case_name)
def test_predator_prey(env_args):
    check_world("PredatorPrey-v0", env_args, repeat=0.5)


LEVEL_BASED_FORAGING = [
    {},
    {"size": 5, "max_food": 3, "sight": 2, "num_agents": 4, "force_coop": True},
    {"size": 7, "static_layout": True, "max_food": 4, "num_agents": 3, "sight": 3},
    {"size": 6, "num_agents": 6, "max_food": 5, "max_agent_level": 1, "sight": 1},
    {"size": 8, "observation_mode": "vector", "num_agents": 3, "sight": 8},
    {"size": 3, "observation_mode": "vector", "max_food": 1, "static_layout": True},
    {"observation_mode": "grid", "num_agents": 4},
    {"size": 6, "observation_mode": "grid", "num_agents": 6, "max_food": 4, "sight": 7},
]


@pytest.mark.parametrize("env_args", LEVEL_BASED_FORAGING, ids=case_name)
def test_level_based_foraging(env_args):
    check_world("LevelBasedForaging-v3", env_args, repeat=0.4)


CROWDED = {"width": 9, "height": 9, "max_obstacle_size": 3, "max_num_obstacles": 60}
DRIVING_GEN = [
    {},
    {"generator_params": "7x7", "num_agents": 4, "obs_dim": (2, 1, 2)},
    {"generator_params": "7x7", "n_grids": 3, "num_agents": 3},
    {"generator_params": "28x28", "num_agents": 6},
    {"generator_params": CROWDED, "n_grids": 2, "shuffle_grid_order": False},
]


@pytest.mark.parametrize("env_args", DRIVING_GEN, ids=case_name)
def test_driving_gen(env_args):
    check_world("DrivingGen-v1", env_args, repeat=0.3)
