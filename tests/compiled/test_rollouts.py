"""Compiled rollouts are the trainer's rollouts in POSGGym's own environments."""

import numpy as np
import pytest

from pgpelib.policies.networks import Network, fold_normalization
from pgpelib.policies.policy import Architecture as TrainerArchitecture
from pgpelib.tasks.base import TaskOptions
from posggym_compiled.interface import Discrete, world_for
from posggym_compiled.networks import Architecture
from posggym_compiled.partners.kinds import Opponent
from posggym_compiled.rollouts import WINDOW, Players
from posggym_es.tasks.posggym_task import PosggymTask

LINEAR, MLP = {}, {"hidden": (16,)}
RECURRENT = {"hidden": (12,), "activation": "relu", "lstm_size": 6, "head": (7,)}
SHAPES = [LINEAR, MLP, RECURRENT]


def sizes(world, agent=0):
    action = world.actions[agent]
    outputs = action.n if isinstance(action, Discrete) else action.size
    return world.observations[agent].size, outputs


def trainer_network(world, shape, parameters, norm=(None, None), agent=0):
    architecture = TrainerArchitecture(*sizes(world, agent), **shape)
    layers = fold_normalization(architecture.layers(parameters), *norm)
    return Network(layers, architecture.activation)


def check_self_play(env_id, env_args, shape, episodes, max_steps=None):
    """Compare self-play with the trainer's: fitness, steps and statistics."""
    world = world_for(env_id, **env_args)
    architecture = Architecture(*sizes(world), **shape)
    rng = np.random.default_rng(1)
    solutions = rng.standard_normal((2, architecture.num_parameters))
    size = architecture.observation_size
    mean, stdev = rng.uniform(0, 1, size), rng.uniform(0.5, 2, size)
    seeds = rng.integers(0, 2**32, (2, episodes // 2)).astype(np.uint64)
    outcomes = Players(world, architecture).play(
        solutions,
        seeds,
        mean=mean,
        stdev=stdev,
        max_steps=max_steps,
        decrease_rewards_by=0.25,
    )
    task = PosggymTask(
        env_id, env_args, TaskOptions(max_steps or -1, decrease_rewards_by=0.25)
    )
    for n, parameters in enumerate(solutions):
        network = trainer_network(world, shape, parameters, (mean, stdev))
        count, total, squares = 0, np.zeros(size), np.zeros(size)
        for m, seed in enumerate(seeds[n]):
            rollout = task.rollout(network, int(seed))
            assert outcomes.fitness[n, m] == rollout.fitness
            assert outcomes.steps[n, m] == rollout.steps
            count += rollout.obs_stats.count
            total += rollout.obs_stats.sum
            squares += rollout.obs_stats.sumsq
        assert outcomes.counts[n] == count
        np.testing.assert_allclose(outcomes.sums[n], total, rtol=1e-12)
        np.testing.assert_allclose(outcomes.sumsqs[n], squares, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_driving(shape):
    check_self_play("Driving-v1", {"grid": "7x7RoundAbout"}, shape, 34)


def driving_players():
    world = world_for("Driving-v1", grid="6x6Intersection", num_agents=3)
    rng = np.random.default_rng(2)
    own = Architecture(*sizes(world))
    other = Architecture(*sizes(world), **RECURRENT)
    vectors = [
        rng.standard_normal(architecture.num_parameters)
        for architecture in (own, other)
    ]
    return world, own, other, vectors


def test_roles_played_by_other_networks():
    world, own, other, vectors = driving_players()
    seeds = np.arange(20, dtype=np.uint64)[None]
    cast = np.ones((1, 20, 3), np.int64)
    cast[:, :, 1] = 0
    outcomes = Players(world, own, [Opponent(other, vectors[1])]).play(
        vectors[0][None], seeds, cast=cast
    )
    task = PosggymTask(world.env_id, world.env_args, TaskOptions(role="1"))
    others = {i: trainer_network(world, RECURRENT, vectors[1]) for i in ("0", "2")}
    network = trainer_network(world, LINEAR, vectors[0])
    for m in range(20):
        rollout = task.rollout(network, m, others)
        assert outcomes.fitness[0, m] == rollout.fitness
        assert outcomes.returns[0, m, 1] == rollout.fitness
        assert outcomes.steps[0, m] == rollout.steps
    assert outcomes.counts[0] == outcomes.steps.sum()


def test_episodes_depend_on_nothing_that_was_played_before():
    world, own, _, vectors = driving_players()
    solutions = np.stack([vectors[0], -vectors[0], vectors[0]])
    seeds = np.array([[5, 6], [7, 8], [6, 5]], np.uint64)
    players = Players(world, own)
    first = players.play(solutions, seeds)
    assert (first.returns[0] == first.returns[2, ::-1]).all()
    again = Players(world, own).play(solutions[2:], seeds[2:])
    assert (first.returns[2] == again.returns[0]).all()


def test_common_episodes_are_those_that_each_solution_plays_alone():
    # More than generators are seeded at a time.
    world, own, _, vectors = driving_players()
    seeds = np.arange(WINDOW + 50, dtype=np.uint64)
    players = Players(world, own)
    solutions = np.stack([vectors[0], -vectors[0]])
    together = players.play(solutions, np.stack([seeds, seeds]))
    for n in range(2):
        own_seeds = np.concatenate([seeds[n:], seeds[:n]])
        alone = players.play(solutions[n : n + 1], own_seeds[None])
        assert (np.roll(alone.returns[0], n, axis=0) == together.returns[n]).all()


def test_episodes_stop_at_the_given_length():
    world, own, _, vectors = driving_players()
    seeds = np.arange(8, dtype=np.uint64)[None]
    outcomes = Players(world, own).play(
        vectors[0][None], seeds, max_steps=3, statistics=False
    )
    assert outcomes.steps.max() == 3
    assert len(outcomes.counts) == len(outcomes.sums) == 0


def test_episodes_that_might_never_end_are_refused():
    world = world_for("MultiAgentTiger-v0")
    architecture = Architecture(*sizes(world))
    solutions = np.zeros((1, architecture.num_parameters))
    seeds = np.zeros((1, 1), np.uint64)
    players = Players(world, architecture)
    with pytest.raises(ValueError, match="no time limit; set max_steps"):
        players.play(solutions, seeds)
    assert players.play(solutions, seeds, max_steps=8).steps == 8


@pytest.mark.parametrize(
    ("env_id", "env_args", "shape", "episodes"),
    [
        ("MultiAgentTiger-v0", {}, MLP, 10),
        ("LevelBasedForaging-v3", {"observation_mode": "grid", "sight": 1}, MLP, 6),
    ],
)
def test_other_spaces(env_id, env_args, shape, episodes):
    check_self_play(env_id, env_args, shape, episodes, max_steps=20)


def test_networks_that_do_not_fit_are_refused():
    world, own, other, vectors = driving_players()
    seeds = np.zeros((1, 1), np.uint64)
    with pytest.raises(ValueError, match="solutions of shape"):
        Players(world, own).play(vectors[0][None, :-1], seeds)
    small = Architecture(3, 5)
    players = Players(world, own, [Opponent(small, np.zeros(20))])
    with pytest.raises(ValueError, match="network 1 has .* agent 2 needs"):
        players.play(vectors[0][None], seeds, cast=np.array([[[0, 0, 1]]]))
