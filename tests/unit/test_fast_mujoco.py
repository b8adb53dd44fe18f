"""The fast MuJoCo environments have the reference's bits, in any order of episodes."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from pgpelib.tasks.fast_mujoco import FastHumanoid, FastWalker2d
from pgpelib.tasks.gymnasium_task import gymnasium_episodes

ENVS = {"Walker2d-v4": FastWalker2d, "Humanoid-v4": FastHumanoid}
SETTINGS = {
    "Walker2d-v4": {
        "ctrl_cost_weight": 0.3,
        "healthy_angle_range": (-0.4, 0.4),
        "reset_noise_scale": 0.02,
        "exclude_current_positions_from_observation": False,
    },
    "Humanoid-v4": {
        "forward_reward_weight": 0.7,
        "terminate_when_unhealthy": False,
        "healthy_z_range": (1.1, 1.9),
        "exclude_current_positions_from_observation": False,
    },
}


def assert_same_episode(fast, reference, seed, controller, steps=1100):
    observation, info = fast.reset(seed=seed)
    expected, _ = reference.reset(seed=seed)
    assert info == {}
    for _ in range(steps):
        assert observation.dtype == expected.dtype
        assert observation.tobytes() == expected.tobytes()
        action = controller(expected)
        observation, reward, *ends, _ = fast.step(action)
        expected, reference_reward, *reference_ends, _ = reference.step(action)
        assert float(reward) == float(reference_reward)
        assert ends == reference_ends
        if any(ends):
            assert observation.tobytes() == expected.tobytes()
            return ends
    raise AssertionError("the episode did not end")


def random_controller(space, seed, scale):
    rng = np.random.default_rng(seed)
    high = scale * space.high
    return lambda _: rng.uniform(-high, high).astype(np.float32)


@pytest.mark.parametrize("env_id", ENVS)
@pytest.mark.parametrize("changed", [False, True], ids=["default", "settings"])
def test_random_episodes_have_the_references_bits(env_id, changed):
    settings = SETTINGS[env_id] if changed else {}
    fast, reference = ENVS[env_id](**settings), gymnasium.make(env_id, **settings)
    # Without an end by falling, one long episode is enough.
    episodes = 2 if changed and env_id == "Humanoid-v4" else 50
    ends = [
        assert_same_episode(
            fast,
            reference,
            seed,
            random_controller(reference.action_space, seed, (seed % 5) / 4),
        )
        for seed in range(episodes)
    ]
    assert len(ends) == episodes


@pytest.mark.parametrize("env_id", ENVS)
def test_controlled_episodes_have_the_references_bits(env_id):
    """With a random linear policy, whose actions depend on the observations."""
    fast, reference = ENVS[env_id](), gymnasium.make(env_id)
    low, high = reference.action_space.low, reference.action_space.high
    for seed in range(20):
        rng = np.random.default_rng(seed)
        weight = rng.normal(size=(len(low), fast.observation_space.shape[0]))

        def controller(observation, weight=weight):
            return np.clip(weight @ observation, low, high).astype(np.float32)

        assert_same_episode(fast, reference, seed, controller)


def test_episodes_are_truncated_at_the_time_limit():
    # A walker that may lie on the floor goes on to the end.
    settings = {"terminate_when_unhealthy": False}
    fast = FastWalker2d(**settings)
    reference = gymnasium.make("Walker2d-v4", **settings)
    controller = random_controller(reference.action_space, 0, 1.0)
    assert assert_same_episode(fast, reference, 0, controller) == [False, True]


@pytest.mark.parametrize("env_id", ENVS)
def test_episodes_do_not_depend_on_earlier_ones(env_id):
    used, fresh = ENVS[env_id](), ENVS[env_id]()
    for seed in range(3):
        assert_same_episode(
            used, fresh, seed, random_controller(used.action_space, seed, 1.0)
        )
        fresh = ENVS[env_id]()


def test_training_uses_the_fast_forms():
    for name in ("Walker2d-v2", "Walker2d-v4", "Humanoid-v4"):
        assert type(gymnasium_episodes(name, {}).env) in ENVS.values()
    settings = {"ctrl_cost_weight": 0.5}
    episodes = gymnasium_episodes("Humanoid-v4", settings)
    reference = gymnasium.make("Humanoid-v4", **settings)
    controller = random_controller(reference.action_space, 1, 1.0)
    assert_same_episode(episodes.env, reference, 1, controller)
