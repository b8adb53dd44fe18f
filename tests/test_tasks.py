"""Episodes are a function of policy and seed, whatever was played before."""

from __future__ import annotations

import numpy as np
import posggym
import pytest
from gymnasium import spaces

from pgpelib.policies import Architecture, FeedForward
from pgpelib.tasks.posggym_task import derived_processor, make_processor
from pgpelib.tasks.registry import make_task, standard_env_name

TASKS = [
    "LunarLanderContinuous-v2",
    "CartPole-v1",
    "Walker2d-v4",
    "HumanoidBulletEnv-v0",
    "tinytraj_humanoid_bullet:TinyTrajHumanoidBulletEnv-v0",
    "posggym:DrivingContinuous-v0",
    "posggym:PredatorPreyContinuous-v0",
    "posggym:DroneTeamCapture-v0",
    "posggym:Driving-v1",
    "posggym:LevelBasedForaging-v3",
    "posggym:PredatorPrey-v0",
]


def random_network(task, seed):
    architecture = Architecture(task.observation_size, task.action.output_size)
    rng = np.random.default_rng(seed)
    parameters = rng.normal(size=architecture.num_parameters)
    return FeedForward(architecture.layers(parameters), "tanh")


def play(task, seed):
    rollout = task.rollout(random_network(task, seed), seed)
    return rollout.fitness, rollout.steps, rollout.obs_stats.sum.tolist()


@pytest.mark.parametrize("env_name", TASKS)
def test_rollouts_do_not_depend_on_earlier_ones(env_name):
    used, fresh = (make_task(env_name, {}, max_episode_length=60) for _ in range(2))
    first = [play(used, seed) for seed in range(4)]
    assert [play(fresh, seed) for seed in reversed(range(4))] == first[::-1]
    assert len({str(result) for result in first}) > 1


def test_tinytraj_differs_by_the_alive_bonus_alone():
    tiny = make_task("TinyTrajHumanoidBulletEnv-v0", {})
    full = make_task("HumanoidBulletEnv-v0", {}, decrease_rewards_by=2.0)
    network = random_network(tiny, 1)
    a, b = tiny.rollout(network, 5), full.rollout(network, 5)
    assert a.steps == b.steps < 200
    # The last step, in which the robot falls, has -1 instead of +2.
    assert a.fitness == pytest.approx(b.fitness + 3.0)


def test_rewards_are_decreased_every_step():
    plain = make_task("CartPole-v1", {})
    decreased = make_task("CartPole-v1", {}, decrease_rewards_by=0.25)
    network = random_network(plain, 0)
    a, b = plain.rollout(network, 3), decreased.rollout(network, 3)
    assert b.fitness == pytest.approx(a.fitness - 0.25 * a.steps)


def test_episodes_can_be_shortened():
    task = make_task("Walker2d-v4", {}, max_episode_length=7)
    assert task.rollout(random_network(task, 0), 0).steps <= 7


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (spaces.Box(-2.0, 3.0, (3,)), "RescaleProcessor"),
        (spaces.Box(-np.inf, np.inf, (3,)), "IdentityProcessor"),
        (spaces.Box(np.zeros(2), np.array([1.0, 0.0])), "IdentityProcessor"),
        (spaces.Box(0.0, 1.0, (2, 2)), "FlattenProcessor"),
        (spaces.Tuple([spaces.Discrete(3), spaces.Discrete(2)]), "FlattenProcessor"),
        (spaces.Discrete(4, start=-1), "FlattenProcessor"),
    ],
)
def test_processors_are_derived_from_spaces(space, expected):
    processor = derived_processor(space)
    assert processor[0] == expected
    flat = np.asarray(make_processor(processor, space)(space.sample()))
    assert flat.ndim == 1
    assert np.isfinite(flat).all()


def test_trained_observations_are_what_the_registered_processor_gives():
    task = make_task("posggym:DrivingContinuous-v0", {})
    env = posggym.make("DrivingContinuous-v0")
    observations, _ = env.reset(seed=3)
    processor = make_processor(task.obs_processor, env.observation_spaces["0"])
    seen = []

    def network(observation):
        seen.append(observation.copy())
        return np.zeros(2)

    task.rollout(network, 3)
    assert np.array_equal(seen[0], processor(observations["0"]))
    assert np.array_equal(seen[1], processor(observations["1"]))


def test_standard_environments():
    tiny = "tinytraj_humanoid_bullet:TinyTrajHumanoidBulletEnv-v0"
    assert standard_env_name(tiny) == "HumanoidBulletEnv-v0"
    assert standard_env_name("Walker2d-v2") == "Walker2d-v2"
    assert standard_env_name("posggym:Driving-v1") == "posggym:Driving-v1"
