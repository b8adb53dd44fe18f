"""Compiled classic worlds play the episodes of POSGGym's, bit for bit."""

import pytest
from side_by_side import case_name, check_world

# Classic environments have no time limit of their own.
LIMIT = {"max_episode_steps": 30}

MULTI_ACCESS_BROADCAST_CHANNEL = [
    {},
    {"fill_probs": (0.0, 1.0), "observation_prob": 0.0, "init_buffer_dist": (0.0, 1)},
    {"fill_probs": [0.2, 0.3], "observation_prob": 1, "init_buffer_dist": (0.5, 0.5)},
    {
        "num_nodes": 4,
        "fill_probs": (0.1, 0.4, 0.7, 1.0),
        "init_buffer_dist": (1.0, 0.9, 0.5, 0.1),
        "observation_prob": 0.75,
    },
]


@pytest.mark.parametrize("env_args", MULTI_ACCESS_BROADCAST_CHANNEL, ids=case_name)
def test_multi_access_broadcast_channel(env_args):
    check_world("MultiAccessBroadcastChannel-v0", LIMIT | env_args)


MULTI_AGENT_TIGER = [
    {},
    {"observation_prob": 0.5, "creak_observation_prob": 0.0},
    {"observation_prob": 0.0, "creak_observation_prob": 1.0},
    {"observation_prob": 1, "creak_observation_prob": 0.3},
]


@pytest.mark.parametrize("env_args", MULTI_AGENT_TIGER, ids=case_name)
def test_multi_agent_tiger(env_args):
    check_world("MultiAgentTiger-v0", LIMIT | env_args)


@pytest.mark.parametrize("steps", [1, 2, 30, 200])
def test_rock_paper_scissors(steps):
    # It has no other argument.
    check_world("RockPaperScissors-v0", {"max_episode_steps": steps})
