"""The fast humanoid has the reference's bits, and forgets its earlier episodes."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pybullet_envs_gymnasium.gym_locomotion_envs import HumanoidBulletEnv

from pgpelib.tasks.bullet_humanoid import FastHumanoidBullet
from tinytraj_humanoid_bullet import TinyTrajHumanoidBulletEnv

Controller = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass
class Played:
    observations: np.ndarray
    rewards: list[float]
    terminations: list[bool]

    def digest(self) -> str:
        data = self.observations.tobytes() + repr(self.rewards).encode()
        return hashlib.sha256(data).hexdigest()


def play(
    env: gymnasium.Env,
    seed: int,
    controller: Controller,
    steps: int,
    past_fall: bool = True,
) -> Played:
    observation, info = env.reset(seed=seed)
    assert info == {}
    observations, terminations = [observation], []
    rewards: list[Any] = []
    for _ in range(steps):
        observation, reward, terminated, _, info = env.step(controller(observation))
        assert info == {}
        observations.append(observation)
        rewards.append(reward)
        terminations.append(terminated)
        if terminated and not past_fall:
            break
    return Played(np.array(observations), rewards, terminations)


def play_reference(
    kind: type[HumanoidBulletEnv],
    seed: int,
    controller: Controller,
    steps: int,
    past_fall: bool = True,
) -> Played:
    # A used reference gives other bits, see the module of the fast one.
    env = kind()
    env.reset(seed=0)
    played = play(env, seed, controller, steps, past_fall)
    env.close()
    return played


def assert_same(fast: Played, reference: Played) -> None:
    assert fast.observations.dtype == reference.observations.dtype == np.float32
    assert np.array_equal(fast.observations, reference.observations)
    assert fast.rewards == reference.rewards
    assert {type(reward) for reward in fast.rewards} == {float}
    assert fast.terminations == reference.terminations
    assert {type(terminated) for terminated in fast.terminations} <= {bool}


def random_torques(seed: int, scale: float, dtype: type = np.float64) -> Controller:
    rng = np.random.default_rng(seed)
    return lambda _: rng.uniform(-scale, scale, 17).astype(dtype)


def waves(seed: int) -> Controller:
    rng = np.random.default_rng(seed)
    phases, speeds = rng.uniform(0.0, 6.3, 17), rng.uniform(0.05, 0.6, 17)
    times = iter(range(10**6))
    return lambda _: np.sin(phases + speeds * next(times))


@pytest.fixture(scope="module")
def fast() -> Iterator[FastHumanoidBullet]:
    env = FastHumanoidBullet()
    yield env
    env.close()


@pytest.fixture(scope="module")
def fast_tinytraj() -> Iterator[FastHumanoidBullet]:
    env = FastHumanoidBullet(max_episode_steps=200, alive_bonus=False)
    yield env
    env.close()


# Steps past the fall have the more contacts, and are the ones that went wrong when the
# broad phase was not refreshed.
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [0.02, 0.3, 1.0, 3.0])
def test_random_torques_give_the_reference(
    fast: FastHumanoidBullet, scale: float, dtype: type
) -> None:
    for seed in range(13):
        torques = random_torques(seed, scale, dtype)
        again = random_torques(seed, scale, dtype)
        assert_same(
            play(fast, seed, torques, 50),
            play_reference(HumanoidBulletEnv, seed, again, 50),
        )


def test_long_episodes_past_the_fall_give_the_reference(
    fast: FastHumanoidBullet,
) -> None:
    for seed in range(8):
        assert_same(
            play(fast, seed, waves(seed), 200),
            play_reference(HumanoidBulletEnv, seed, waves(seed), 200),
        )


def test_forearm_and_hand_touching_the_pelvis_give_the_reference(
    fast: FastHumanoidBullet,
) -> None:
    """Contacts of the same two links are solved in an order that is easily changed."""
    seed = 20543

    def controller() -> Controller:
        torques = waves(seed)
        return lambda observation: torques(observation).astype(np.float32)

    assert_same(
        play(fast, seed, controller(), 300),
        play_reference(HumanoidBulletEnv, seed, controller(), 300),
    )


def test_rewards_without_alive_bonus_are_tinytraj(
    fast_tinytraj: FastHumanoidBullet,
) -> None:
    for seed in range(6):
        assert_same(
            play(fast_tinytraj, seed, waves(seed), 40),
            play_reference(TinyTrajHumanoidBulletEnv, seed, waves(seed), 40),
        )


@pytest.mark.slow
def test_trained_policy_gives_the_reference(
    fast: FastHumanoidBullet, published_humanoid: Path
) -> None:
    torch = pytest.importorskip("torch")
    restore = pytest.importorskip("pgpelib.restore")
    module = restore.to_torch_module(published_humanoid)

    def controller(observation: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return module(torch.from_numpy(observation)).numpy()

    walked = 0
    for seed in range(20):
        played = play(fast, seed, controller, 200, past_fall=False)
        assert_same(
            played,
            play_reference(HumanoidBulletEnv, seed, controller, 200, past_fall=False),
        )
        walked += len(played.rewards) == 200
    assert walked > 10  # it is the policy, and not noise


def test_unseeded_reset_goes_on_with_the_generator(fast: FastHumanoidBullet) -> None:
    reference = HumanoidBulletEnv()
    reference.reset(seed=0)
    reference.reset(seed=3)
    fast.reset(seed=3)
    for _ in range(3):
        assert np.array_equal(fast.reset()[0], reference.reset()[0])
    reference.close()


def digest_of(seed: int, before: list[int]) -> str:
    env = FastHumanoidBullet()
    for earlier in before:
        play(env, earlier, random_torques(earlier, 3.0), 60)
    digest = play(env, seed, waves(seed), 200).digest()
    env.close()
    return digest


def test_episodes_do_not_depend_on_earlier_ones(fast: FastHumanoidBullet) -> None:
    seeds = range(100, 106)
    new = [digest_of(seed, []) for seed in seeds]
    again = []
    for seed in reversed(seeds):
        # Stop in all kinds of states: in the air, lying, just reset.
        play(fast, seed + 50, random_torques(seed, 1.0), 2 * seed - 190)
        again.append(play(fast, seed, waves(seed), 200).digest())
    assert again[::-1] == new


def test_episodes_do_not_depend_on_the_process() -> None:
    jobs = [(7, []), (8, [7]), (7, [8, 9]), (8, [])]
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        first, second, third, fourth = pool.starmap(digest_of, jobs, chunksize=1)
    assert first == third == digest_of(7, [])
    assert second == fourth
    assert first != second


def test_two_environments_do_not_disturb_each_other(
    fast: FastHumanoidBullet, fast_tinytraj: FastHumanoidBullet
) -> None:
    expected = play(fast, 5, waves(5), 30)
    controller = waves(5)
    fast.reset(seed=5)
    fast_tinytraj.reset(seed=6)
    for observation in expected.observations[1:]:
        assert np.array_equal(fast.step(controller(observation))[0], observation)
        fast_tinytraj.step(np.ones(17))


def test_time_limit_counts_steps_of_the_episode() -> None:
    env = FastHumanoidBullet(max_episode_steps=3)
    for seed in range(2):
        env.reset(seed=seed)
        assert [env.step(np.zeros(17))[3] for _ in range(4)] == [0, 0, 1, 1]
    env.reset(seed=0)
    env.step(np.zeros(17))
    env.reset(seed=0)
    assert [env.step(np.zeros(17))[3] for _ in range(3)] == [0, 0, 1]
    env.close()
    with pytest.raises(ValueError, match="max_episode_steps"):
        FastHumanoidBullet(max_episode_steps=0)


def test_fall_terminates_without_the_time_limit(fast: FastHumanoidBullet) -> None:
    played = play(fast, 0, random_torques(0, 1.0), 100, past_fall=False)
    assert played.terminations[-1]
    assert not any(played.terminations[:-1])


def test_observations_are_new_arrays(fast: FastHumanoidBullet) -> None:
    first, _ = fast.reset(seed=0)
    kept = first.copy()
    second = fast.step(np.zeros(17))[0]
    kept_second = second.copy()
    third = fast.step(np.ones(17))[0]
    assert np.array_equal(first, kept)
    assert np.array_equal(second, kept_second)
    assert not np.shares_memory(second, third)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_actions_have_to_be_finite(fast: FastHumanoidBullet, dtype: type) -> None:
    fast.reset(seed=0)
    for bad in (math.nan, math.inf, -math.inf):
        action: np.ndarray = np.zeros(17, dtype)
        action[3] = bad
        with pytest.raises(ValueError, match="finite"):
            fast.step(action)
    # The sum of these overflows, but they are finite, and clipped.
    huge = np.full(17, np.finfo(dtype).max)
    assert fast.torques(huge) == fast.torques(np.ones(17, dtype))


@pytest.mark.parametrize("dtype", [np.int64, np.float16])
def test_other_types_of_actions_are_float64(
    fast: FastHumanoidBullet, dtype: type
) -> None:
    expected = play(fast, 0, lambda _: np.ones(17), 5)
    assert_same(play(fast, 0, lambda _: np.ones(17, dtype), 5), expected)


def test_gymnasium_accepts_it() -> None:
    env = FastHumanoidBullet()
    assert env.observation_space.shape == (44,)
    assert env.action_space.shape == (17,)
    check_env(env, skip_render_check=True)
    env.close()
