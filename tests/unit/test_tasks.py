"""Episodes are a function of policy and seed, whatever was played before."""

from __future__ import annotations

import math

import numpy as np
import posggym
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

import posggym_gymnasium
from messages import exactly
from pgpelib.policies.networks import Network
from pgpelib.policies.policy import Architecture
from pgpelib.tasks.base import MAX_SLOTS
from pgpelib.tasks.gymnasium_task import action_spec, flat_size
from pgpelib.tasks.lockstep import play as play_side_by_side
from pgpelib.tasks.registry import make_task, standard_env_name
from posggym_es.tasks.casting import cast
from posggym_es.tasks.posggym_envs import PosggymEpisodes
from posggym_es.tasks.posggym_task import (
    derived_processor,
    make_processor,
    processed_space,
)

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
    return Network(architecture.layers(parameters), "tanh")


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
    made = make_processor(processor, space)
    assert processed_space(processor, space) == made.get_processed_space()
    flat = np.asarray(made(space.sample()))
    assert flat.ndim == 1
    assert np.isfinite(flat).all()


def test_trained_observations_are_what_the_registered_processor_gives():
    task = make_task("posggym:DrivingContinuous-v0", {})
    env = posggym.make("DrivingContinuous-v0")
    observations, _ = env.reset(seed=3)
    processor = make_processor(task.obs_processor, env.observation_spaces["0"])
    seen = []

    class Spy(Network):
        def __call__(self, observation):
            seen.append(observation.copy())
            return super().__call__(observation)

    layer = np.zeros((2, task.observation_size)), np.zeros(2)
    task.rollout(Spy([layer], "tanh"), 3)
    assert np.array_equal(seen[0], processor(observations["0"]))
    assert np.array_equal(seen[1], processor(observations["1"]))


@pytest.mark.parametrize(
    ("env_name", "options"),
    [
        ("LunarLanderContinuous-v2", {}),
        ("CartPole-v1", {}),
        ("Walker2d-v4", {}),
        ("TinyTrajHumanoidBulletEnv-v0", {}),
        ("posggym:PredatorPrey-v0", {}),
        ("posggym:DrivingContinuous-v0", {}),
        ("posggym:Driving-v1", {"partners": ["Driving-v1/A40Shortestpath-v0"]}),
    ],
)
@pytest.mark.parametrize("lstm_size", [0, 3])
def test_episodes_side_by_side_are_those_played_one_by_one(
    env_name, options, lstm_size
):
    together, alone = (
        make_task(env_name, {}, max_episode_length=40, **options) for _ in range(2)
    )
    architecture = Architecture(
        together.observation_size,
        together.action.output_size,
        (5,),
        lstm_size=lstm_size,
    )
    rng = np.random.default_rng(0)
    # More than fit side by side, so that some begin where others have ended.
    seeds = list(range(MAX_SLOTS + 5))
    solutions = [
        architecture.layers(rng.normal(size=architecture.num_parameters)) for _ in seeds
    ]
    rollouts = play_side_by_side(together, solutions, "tanh", seeds)
    for layers, seed, rollout in zip(solutions, seeds, rollouts, strict=True):
        expected = alone.rollout(Network(layers, "tanh"), seed)
        assert (rollout.fitness, rollout.steps) == (expected.fitness, expected.steps)
        assert np.array_equal(rollout.obs_stats.sum, expected.obs_stats.sum)


AGENTS = ("a", "b", "c")


def test_self_play_casts_the_learner_everywhere():
    assert cast(AGENTS, 5, None, {}) == {"a": None, "b": None, "c": None}


def test_a_role_keeps_its_place_and_partners_take_turns():
    candidates = {"a": ["x", "y"], "b": ["x"], "c": ["z"]}
    casts = [cast(AGENTS, seed, "b", candidates) for seed in range(12)]
    assert all(parts["b"] is None and parts["c"] == "z" for parts in casts)
    assert {parts["a"] for parts in casts} == {"x", "y"}


@given(st.integers(0, 2**31))
def test_a_learner_without_a_role_takes_one_place(seed):
    parts = cast(AGENTS, seed, None, {agent: ["x", "y"] for agent in AGENTS})
    assert list(parts) == list(AGENTS)
    assert list(parts.values()).count(None) == 1


@pytest.mark.parametrize("role", [None, "1"])
def test_casts_repeat(role):
    agents = ["0", "1", "2"]
    candidates = {"0": ["a", "b"], "1": ["b"], "2": ["a", "b", "c"]}
    number = len(agents) * math.lcm(2, 1, 3)
    for seed in (number - 1, number, 2**63 + 5):
        expected = cast(agents, seed % number, role, candidates)
        assert cast(agents, seed, role, candidates) == expected


def test_places_that_nobody_can_take_are_refused():
    with pytest.raises(ValueError, match="agent 'c'"):
        cast(AGENTS, 0, "a", {"b": ["x"]})


PURSUIT = "posggym:PursuitEvasion-v1"


def test_asymmetric_environments_need_roles():
    with pytest.raises(ValueError, match=r"set roles: \['0', '1'\]"):
        make_task(PURSUIT, {})
    with pytest.raises(ValueError, match="no agent '7'"):
        make_task(PURSUIT, {}, role="7")
    with pytest.raises(ValueError, match="roles and partners need an environment"):
        make_task("CartPole-v1", {}, role="0")
    with pytest.raises(ValueError, match="stochastic policies play only in posggym:"):
        make_task("CartPole-v1", {}, stochastic=True)
    with pytest.raises(ValueError, match="stochastic policies need discrete actions"):
        make_task("posggym:DrivingContinuous-v0", {}, stochastic=True)


def test_roles_of_one_episode_see_their_own_side_of_it():
    tasks = {role: make_task(PURSUIT, {}, role=role) for role in "01"}
    networks = {role: random_network(task, 7) for role, task in tasks.items()}
    evader = tasks["0"].rollout(networks["0"], 3, {"1": networks["1"]})
    pursuer = tasks["1"].rollout(networks["1"], 3, {"0": networks["0"]})
    # The same episode, in which one wins what the other loses.
    assert evader.steps == pursuer.steps
    assert evader.fitness == pytest.approx(-pursuer.fitness)
    assert evader.obs_stats.count == pursuer.obs_stats.count == evader.steps


SHORTEST_PATHS = [f"Driving-v1/A{n}Shortestpath-v0" for n in (0, 40)]


def test_a_best_response_plays_one_place_against_registered_policies():
    task = make_task("posggym:Driving-v1", {}, partners=SHORTEST_PATHS)
    network = random_network(task, 1)
    rollouts = [task.rollout(network, seed) for seed in range(8)]
    assert all(rollout.obs_stats.count <= rollout.steps for rollout in rollouts)
    again = make_task("posggym:Driving-v1", {}, partners=SHORTEST_PATHS)
    for seed in reversed(range(8)):
        assert again.rollout(network, seed).fitness == rollouts[seed].fitness


def test_unknown_partners_are_refused_with_the_closest_id():
    with pytest.raises(ValueError, match="did you mean Driving-v1/A0Shortestpath-v0"):
        make_task("posggym:Driving-v1", {}, partners=["Driving-v1/A0Shortestpat-v0"])


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            spaces.Discrete(3, start=1),
            "X-v0: actions start at 1; POSGGym's policies can only act in Discrete "
            "spaces that start at 0",
        ),
        (
            spaces.MultiBinary(2),
            "X-v0: the action space MultiBinary(2) is neither a one-dimensional Box "
            "nor Discrete",
        ),
    ],
)
def test_actions_that_posggyms_format_lacks_are_refused(space, message):
    with pytest.raises(ValueError, match=exactly(message)):
        action_spec(space, "X-v0")


def test_observations_of_any_length_are_refused():
    space = spaces.Sequence(spaces.Discrete(2))
    with pytest.raises(ValueError, match=r"X-v0: observations of .* no fixed length"):
        flat_size(space, "X-v0")


def test_standard_environments():
    tiny = "tinytraj_humanoid_bullet:TinyTrajHumanoidBulletEnv-v0"
    assert standard_env_name(tiny) == "HumanoidBulletEnv-v0"
    assert standard_env_name("Walker2d-v2") == "Walker2d-v2"
    assert standard_env_name("posggym:Driving-v1") == "posggym:Driving-v1"


ENDLESS = ["CliffWalking-v0", "Blackjack-v1", "posggym:RockPaperScissors-v0"]


@pytest.mark.parametrize("env_name", ENDLESS)
def test_environments_without_a_time_limit_need_one(env_name):
    with pytest.raises(ValueError, match="no time limit.*set max_episode_length"):
        make_task(env_name, {})
    task = make_task(env_name, {}, 7)
    # What re-evaluations play has the limit, too.
    for each in (task, make_task(env_name, {}, 7, only_if_endless=True)):
        assert play(each, seed=0)[1] <= 7


def test_re_evaluations_have_the_environments_own_time_limit():
    short = make_task("CartPole-v1", {"max_episode_steps": 9}, 3)
    own = make_task("CartPole-v1", {"max_episode_steps": 9}, 3, only_if_endless=True)
    assert play(short, seed=0)[1] == 3
    assert play(own, seed=0)[1] > 3


@pytest.mark.parametrize("env_id", ["RockPaperScissors-v0", "CliffWalking-v0"])
def test_episodes_that_others_play_end(env_id):
    posggym_gymnasium.ensure_registered(env_id)
    episodes = PosggymEpisodes(env_id, None, endless_length=5)
    assert episodes.endless
    episodes.reset(0)
    env, done, steps = episodes.env, False, 0
    while not done:
        actions = {i: env.action_spaces[i].sample() for i in env.agents}
        *_, done, _ = env.step(actions)
        steps += 1
    assert steps == 5


def test_time_limits_of_gymnasium_tasks_are_known():
    posggym_gymnasium.ensure_registered("CartPole-v1")
    assert not PosggymEpisodes("CartPole-v1", None).endless
    assert not PosggymEpisodes("Driving-v1", None).endless
