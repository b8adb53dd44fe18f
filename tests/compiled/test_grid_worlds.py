"""Compiled grid worlds play the episodes of POSGGym's, bit for bit."""

import pytest
from posggym.envs.grid_world.driving import parse_grid_str
from side_by_side import check_world

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


@pytest.mark.parametrize("env_args", DRIVING, ids=str)
def test_driving(env_args):
    check_world("Driving-v1", env_args, repeat=0.3)
