"""The environments of POSGGym with arguments for which they are compared."""

from __future__ import annotations

import dataclasses
from typing import Any

from posggym.envs.grid_world.driving import parse_grid_str
from posggym.envs.grid_world.uav import UAVGrid

Arguments = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How an environment is compared with its compiled form.

    Parameters
    ----------
    arguments
        Sets of arguments.
    episodes
        Episodes with random actions of each set in the test suite.
    repeat
        Probability that an agent repeats its last action, because random steps lead
        nowhere.
    fails
        Exceptions of POSGGym that end the comparison of an episode.
    """

    arguments: list[Arguments]
    episodes: int = 30
    repeat: float = 0.3
    fails: tuple[type[Exception], ...] = ()


# Classic environments have no time limit of their own.
LIMIT = {"max_episode_steps": 30}
CUSTOM_GRID = "0+.-b\n.#.#.\n...#a\n-+..1\n"
CROWDED = {"width": 9, "height": 9, "max_obstacle_size": 3, "max_num_obstacles": 60}

COMPARISONS = {
    "MultiAccessBroadcastChannel-v0": Comparison(
        [
            LIMIT,
            LIMIT
            | {
                "fill_probs": (0.0, 1.0),
                "observation_prob": 0.0,
                "init_buffer_dist": (0.0, 1),
            },
            LIMIT
            | {
                "fill_probs": [0.2, 0.3],
                "observation_prob": 1,
                "init_buffer_dist": (0.5, 0.5),
            },
            LIMIT
            | {
                "num_nodes": 4,
                "fill_probs": (0.1, 0.4, 0.7, 1.0),
                "init_buffer_dist": (1.0, 0.9, 0.5, 0.1),
                "observation_prob": 0.75,
            },
        ]
    ),
    "MultiAgentTiger-v0": Comparison(
        [
            LIMIT,
            LIMIT | {"observation_prob": 0.5, "creak_observation_prob": 0.0},
            LIMIT | {"observation_prob": 0.0, "creak_observation_prob": 1.0},
            LIMIT | {"observation_prob": 1, "creak_observation_prob": 0.3},
        ]
    ),
    # It has no other argument.
    "RockPaperScissors-v0": Comparison(
        [{"max_episode_steps": steps} for steps in (1, 2, 30, 100)]
    ),
    "CooperativeReaching-v0": Comparison(
        [
            {},
            {"size": 3, "obs_distance": 0},
            {"size": 6, "mode": "square", "num_goals": 7, "obs_distance": 2},
            {"size": 5, "mode": "line", "num_goals": 3, "obs_distance": 1},
        ]
    ),
    "Driving-v1": Comparison(
        [
            {},
            {"grid": "3x3"},
            {"grid": "6x6Intersection", "num_agents": 4},
            {"grid": "7x7Blocks", "num_agents": 3},
            {"grid": "7x7CrissCross", "num_agents": 6, "obs_dim": (1, 0, 0)},
            {"grid": "7x7RoundAbout", "num_agents": 1},
            {"grid": "14x14Blocks", "num_agents": 4, "obs_dim": (2, 3, 5)},
            {"grid": "14x14CrissCross", "num_agents": 8},
            {"grid": "14x14RoundAbout", "num_agents": 4, "obs_dim": (5, 2, 1)},
            {"grid": parse_grid_str(CUSTOM_GRID, 2), "obs_dim": (4, 0, 2)},
        ]
    ),
    "DrivingGen-v1": Comparison(
        [
            {},
            {"generator_params": "7x7", "num_agents": 4, "obs_dim": (2, 1, 2)},
            {"generator_params": "7x7", "n_grids": 3, "num_agents": 3},
            {"generator_params": "28x28", "num_agents": 6},
            {"generator_params": CROWDED, "n_grids": 2, "shuffle_grid_order": False},
        ],
        episodes=20,
    ),
    "LevelBasedForaging-v3": Comparison(
        [
            {},
            {"size": 5, "max_food": 3, "num_agents": 4, "force_coop": True},
            {
                "size": 7,
                "static_layout": True,
                "max_food": 4,
                "num_agents": 3,
                "sight": 3,
            },
            {
                "size": 6,
                "num_agents": 6,
                "max_food": 5,
                "max_agent_level": 1,
                "sight": 1,
            },
            {"size": 8, "observation_mode": "vector", "num_agents": 3, "sight": 8},
            {
                "size": 3,
                "observation_mode": "vector",
                "max_food": 1,
                "static_layout": True,
            },
            {"observation_mode": "grid", "num_agents": 4},
            {
                "size": 6,
                "observation_mode": "grid",
                "num_agents": 6,
                "max_food": 4,
                "sight": 7,
            },
        ],
        repeat=0.4,
    ),
    "PredatorPrey-v0": Comparison(
        [
            {},
            {"grid": "5x5", "num_prey": 1, "obs_dim": 1, "prey_strength": 1},
            {"grid": "5x5Blocks", "num_predators": 3, "num_prey": 3, "obs_dim": 1},
            {"grid": "10x10Blocks", "num_predators": 4, "cooperative": False},
            {
                "num_predators": 8,
                "num_prey": 5,
                "prey_strength": 1,
                "cooperative": False,
            },
            {
                "grid": "15x15Blocks",
                "num_predators": 8,
                "num_prey": 8,
                "prey_strength": 2,
            },
            {"grid": "20x20", "num_predators": 2, "num_prey": 12, "obs_dim": 4},
        ],
        repeat=0.5,
    ),
    "PursuitEvasion-v1": Comparison(
        [
            {},
            {"grid": "8x8"},
            {"grid": "8x8", "max_obs_distance": 3, "use_progress_reward": False},
            {"grid": "16x16", "max_obs_distance": 5},
        ]
    ),
    "TwoPaths-v0": Comparison(
        [
            {},
            {"grid_size": 3, "action_probs": 0.5},
            {"grid_size": 4, "action_probs": (0.9, 0.6)},
            {"grid_size": 7, "action_probs": (0.8, 1.0)},
        ]
    ),
    "UAV-v0": Comparison(
        [
            {},
            {"grid": 3},
            {"grid": 8},
            {"grid": UAVGrid(5, 5, {(1, 1), (3, 3)}, init_uav_coords=[(0, 0), (4, 4)])},
        ]
    ),
    "DrivingContinuous-v0": Comparison(
        [
            {},
            {
                "world": "6x6Intersection",
                "num_agents": 3,
                "obs_dist": 2.5,
                "n_sensors": 7,
            },
            {"world": "7x7Blocks", "num_agents": 1, "obs_dist": 20.0},
            {"world": "7x7CrissCross", "num_agents": 6, "n_sensors": 1},
            {"world": "7x7RoundAbout", "num_agents": 4},
            {"world": "14x14Blocks", "num_agents": 4, "obs_dist": 1.0},
            {"world": "14x14CrissCross", "num_agents": 8, "n_sensors": 33},
        ],
        episodes=2,
        repeat=0.5,
    ),
    "DroneTeamCapture-v0": Comparison(
        [
            {},
            {"num_agents": 8, "n_communicating_pursuers": 4, "velocity_control": True},
            {"num_agents": 2, "arena_radius": 200, "observation_limit": 150.0},
            {"num_agents": 5, "arena_radius": 300.5, "capture_radius": 60},
            {"use_q_reward": True, "observation_limit": 100, "capture_radius": 90.5},
        ],
        episodes=1,
        repeat=0.5,
    ),
    "PredatorPreyContinuous-v0": Comparison(
        [
            {},
            {"world": "5x5", "num_predators": 4, "num_prey": 2, "prey_strength": 2},
            {"world": "5x5Blocks", "num_prey": 4, "obs_dist": 1.5, "n_sensors": 5},
            {
                "world": "10x10Blocks",
                "num_predators": 3,
                "num_prey": 1,
                "n_sensors": 33,
            },
            {"num_prey": 1, "prey_strength": 1, "cooperative": False},
            {"world": "15x15", "num_prey": 6, "prey_strength": 1, "cooperative": False},
            {
                "world": "20x20Blocks",
                "num_predators": 8,
                "prey_strength": 1,
                "obs_dist": 20.0,
            },
        ],
        episodes=2,
        repeat=0.5,
        # It divides by the predators around the place that a prey has left.
        fails=(ZeroDivisionError,),
    ),
    "PursuitEvasionContinuous-v0": Comparison(
        [
            {},
            {"world": "8x8", "fov": 6.0, "n_sensors": 7},
            {
                "world": "8x8",
                "use_progress_reward": False,
                "fov": 0.5,
                "n_sensors": 1,
            },
            {"world": "16x16", "max_obs_distance": 20.0, "n_sensors": 33},
            {"world": "32x32", "normalize_reward": False, "max_obs_distance": 3.0},
        ],
        episodes=2,
        repeat=0.5,
    ),
}
