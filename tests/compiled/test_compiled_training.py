"""Training with compiled kernels: the same episodes, the same bits everywhere."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgpelib.engines.evaluation import (
    ChunkResult,
    Evaluation,
    Evaluator,
    Normalization,
    Population,
    Work,
    Worker,
)
from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.policy import Architecture, SavedPolicy
from pgpelib.policies.running_statistics import RunningStat
from pgpelib.policies.saving import save_policy
from pgpelib.search.pgpe import (
    EPISODE_STREAM,
    SearchDistribution,
    episode_seed,
    episode_seeds,
)
from pgpelib.tasks.base import Batch
from pgpelib.tasks.registry import make_task
from pgpelib.training.config import TrainingConfig
from pgpelib.training.loop import RunMismatchError
from training_runs import TIGER, results, start_training, train, wait_for

SMALL = {
    "popsize": 40,
    "popsize_max": None,
    "num_interactions": None,
    "max_episode_length": 12,
    "niters": 3,
}
DRIVING = {**SMALL, "env_name": "posggym:Driving-v1", "hidden": [5]}
CONTINUOUS = {**SMALL, "env_name": "posggym:DrivingContinuous-v0"}
ROLES = {
    **SMALL,
    "env_name": "posggym:PursuitEvasion-v1",
    "lstm_size": 3,
    "roles": ["0", "1"],
}
NOT_SQUARE = {
    "generator_params": {
        "width": 7,
        "height": 9,
        "max_obstacle_size": 2,
        "max_num_obstacles": 2,
    }
}


def batch_for(task, others=None, shape=None, episodes=3):
    """Return a batch of a few solutions with observation normalisation."""
    architecture = Architecture(
        task.observation_size, task.action.output_size, **(shape or {})
    )
    rng = np.random.default_rng(5)
    return Batch(
        architecture,
        list(rng.normal(size=(4, architecture.num_parameters))),
        [[10 * n + m for m in range(episodes)] for n in range(4)],
        rng.uniform(0, 1, task.observation_size),
        rng.uniform(0.5, 2, task.observation_size),
        others or {},
    )


def assert_same_rollouts(one, other, exact):
    for a, b in zip(one, other, strict=True):
        tolerance = 0 if exact else 1e-6
        assert a.fitness == pytest.approx(b.fitness, abs=tolerance, rel=tolerance)
        assert a.steps == b.steps
        assert a.obs_stats.count == b.obs_stats.count
        np.testing.assert_allclose(a.obs_stats.sum, b.obs_stats.sum, rtol=1e-6)
        np.testing.assert_allclose(a.obs_stats.sumsq, b.obs_stats.sumsq, rtol=1e-6)


@pytest.mark.parametrize(
    ("env_name", "exact"),
    [("posggym:Driving-v1", True), ("posggym:DrivingContinuous-v0", False)],
)
@pytest.mark.parametrize("episodes", [1, 3])
def test_kernels_play_the_episodes_of_posggym(env_name, exact, episodes):
    options = {"max_episode_length": 25, "decrease_rewards_by": 0.5}
    plain = make_task(env_name, {}, **options)
    compiled = make_task(env_name, {}, **options, compiled=True)
    batch = batch_for(plain, episodes=episodes)
    assert_same_rollouts(compiled.play(batch), plain.play(batch), exact)


@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("role", ["0", "1"])
def test_kernels_play_the_other_roles(role, stochastic):
    env_name, other = ROLES["env_name"], "1" if role == "0" else "0"
    shape = {"hidden": (4,), "lstm_size": 3}
    task = make_task(env_name, {}, 25, role=other)
    sizes = task.observation_size, task.action.output_size
    architecture = Architecture(*sizes, **shape)
    parameters = np.random.default_rng(8).normal(size=architecture.num_parameters)
    others = {other: architecture.layers(parameters)}
    options = {"role": role, "stochastic": stochastic}
    plain = make_task(env_name, {}, 25, **options)
    compiled = make_task(env_name, {}, 25, **options, compiled=True)
    batch = batch_for(plain, others, shape)
    assert_same_rollouts(compiled.play(batch), plain.play(batch), exact=True)
    with pytest.raises(ValueError, match=f"can play agent '{other}'"):
        compiled.play(batch_for(plain, None, shape))


def test_kernels_draw_actions_as_in_posggym():
    env_name = DRIVING["env_name"]
    plain = make_task(env_name, {}, stochastic=True)
    compiled = make_task(env_name, {}, stochastic=True, compiled=True)
    batch = batch_for(plain)
    drawn = compiled.play(batch)
    assert_same_rollouts(drawn, plain.play(batch), exact=True)
    taken = make_task(env_name, {}, compiled=True).play(batch)
    assert [each.steps for each in drawn] != [each.steps for each in taken]


def test_kernels_play_stochastic_partners(tmp_path):
    env_name = DRIVING["env_name"]
    partner = make_task(env_name, {}, stochastic=True)
    architecture = Architecture(partner.observation_size, partner.action.output_size)
    parameters = np.random.default_rng(3).normal(size=architecture.num_parameters)
    path = tmp_path / "partner.pickle"
    policy = SavedPolicy(
        layers=architecture.layers(parameters),
        activation="tanh",
        obs_mean=None,
        obs_stdev=None,
        action=partner.action,
        env_name=env_name,
        env_config={},
        obs_processor=partner.obs_processor,
        action_processor=partner.action_processor,
    )
    save_policy(policy, path)
    options = {"partners": [str(path)], "role": "0"}
    plain = make_task(env_name, {}, **options)
    compiled = make_task(env_name, {}, **options, compiled=True)
    batch = batch_for(plain)
    assert_same_rollouts(compiled.play(batch), plain.play(batch), exact=True)


@pytest.mark.parametrize(
    ("env_config", "role"), [({"num_agents": 3}, None), ({"num_agents": 2}, "1")]
)
def test_kernels_play_the_episodes_with_partners(env_config, role):
    options = {"role": role, "partners": ["Random-v0"]}
    plain = make_task(DRIVING["env_name"], env_config, **options)
    compiled = make_task(DRIVING["env_name"], env_config, **options, compiled=True)
    batch = batch_for(plain)
    assert_same_rollouts(compiled.play(batch), plain.play(batch), exact=True)


def test_kernels_draw_the_partners_that_are_drawn_for_posggym():
    name = "CooperativeReaching-v0"
    options = {"partners": {f"{name}/H1-v0": 1, f"{name}/H2-v0": 3, "Random-v0": 0.5}}
    plain = make_task(f"posggym:{name}", {}, **options)
    compiled = make_task(f"posggym:{name}", {}, **options, compiled=True)
    batch = batch_for(plain, episodes=10)
    assert_same_rollouts(compiled.play(batch), plain.play(batch), exact=True)


@pytest.mark.parametrize(
    "changes", [CONTINUOUS, DRIVING | {"partners": ["Random-v0"]}], ids=["self", "br"]
)
def test_workers_and_interruptions_change_nothing(tmp_path, changes):
    settings = {**changes, "episodes_per_solution": 2}
    train(tmp_path / "one", **settings)
    train(tmp_path / "parts", **settings | {"niters": 2}, num_cpus=2)
    train(tmp_path / "parts", **settings, num_cpus=3)
    assert json.loads((tmp_path / "one" / "run.json").read_text())["compiled"]
    # Both re-evaluate and save in generations 2 and 3.
    assert results(tmp_path / "parts") == results(tmp_path / "one")


def test_a_killed_run_goes_on_and_ends_the_same(root, tmp_path):
    settings = TIGER | {"niters": 60}
    process = start_training(root, tmp_path / "killed", **settings | {"num_cpus": 2})
    wait_for((tmp_path / "killed" / "state.npz").exists)
    process.kill()
    process.wait()
    with np.load(tmp_path / "killed" / "state.npz") as state:
        assert state["generation"] < settings["niters"]
    train(tmp_path / "killed", **settings)
    train(tmp_path / "whole", **settings)
    assert results(tmp_path / "killed") == results(tmp_path / "whole")


def test_a_run_that_was_begun_without_kernels_goes_on_without_them(
    tmp_path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    # Kernels give the numbers of POSGGym but for the last bits.
    settings = CONTINUOUS | {"popsize": 4, "niters": 2, "re_eval_num_episodes": 1}
    reason = "posggym_es.tasks.compiled_task.reason_against"
    with monkeypatch.context() as patch:
        patch.setattr(reason, lambda *_: "no kernels in this version")
        train(tmp_path / "whole", **settings)
        train(tmp_path / "parts", **settings | {"niters": 1})
    assert "compiled kernels do not play the episodes: no kernels" in caplog.text
    caplog.clear()
    # As earlier versions wrote it.
    path = tmp_path / "parts" / "run.json"
    identity = json.loads(path.read_text())
    del identity["compiled"]
    path.write_text(json.dumps(identity))
    train(tmp_path / "parts", **settings)
    assert "started without them" in caplog.text
    assert results(tmp_path / "parts")[0] == results(tmp_path / "whole")[0]


def test_a_run_with_kernels_does_not_go_on_without_them(tmp_path, monkeypatch):
    train(tmp_path, **DRIVING | {"niters": 1})
    reason = "posggym_es.tasks.compiled_task.reason_against"
    monkeypatch.setattr(reason, lambda *_: "no kernels in this version")
    with pytest.raises(RunMismatchError, match="no kernels in this version"):
        train(tmp_path, **DRIVING)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {
                "env_name": "posggym:DrivingGen-v1",
                "partners": ["Random-v0", "DrivingGen-v1/A40Shortestpath-v0"],
            },
            "DrivingGen-v1/A40Shortestpath-v0: not compiled",
        ),
        (
            {"env_name": "posggym:DrivingGen-v1", "env_config": NOT_SQUARE},
            "grids that are not square are not compiled",
        ),
    ],
)
def test_the_log_says_in_one_line_why_posggym_plays(tmp_path, caplog, changes, reason):
    caplog.set_level(logging.INFO)
    train(tmp_path, **DRIVING | {"popsize": 2, "niters": 1} | changes)
    lines = [line for line in caplog.text.splitlines() if "play the episodes" in line]
    assert len(lines) == 1
    assert reason in lines[0]
    assert not json.loads((tmp_path / "run.json").read_text())["compiled"]


def rollouts_of(config, spans):
    """Return what a worker gives for spans of solutions that act alike."""
    worker = Worker(config)
    task = config.training_task()
    size = config.architecture(task).num_parameters
    center = np.random.default_rng(2).normal(size=size)
    # So little noise that no action changes.
    distribution = SearchDistribution(center, np.full(size, 1e-12), 3, 0)
    population = Population(distribution, Normalization())
    return [
        rollout
        for first, count in spans
        for rollout in worker.play(Work(population, first, count, False, count))
    ]


def number_of_episodes(rollouts):
    """Return how many different episodes were seen."""
    return len({rollout.obs_stats.sum.tobytes() for rollout in rollouts})


@pytest.mark.parametrize("env_name", [DRIVING["env_name"], "CartPole-v1"])
def test_common_seeds_leave_the_parameters_alone_to_differ(env_name):
    training_config = TrainingConfig(env_name=env_name, hidden=(), common_seeds=True)
    compiled = env_name in DRIVING.values()
    common = dataclasses.replace(training_config.task, compiled=compiled)
    own = dataclasses.replace(common, common_seeds=False)
    assert number_of_episodes(rollouts_of(common, [(0, 12)])) == 1
    assert number_of_episodes(rollouts_of(own, [(0, 12)])) > 1


@pytest.mark.parametrize("env_name", [DRIVING["env_name"], "CartPole-v1"])
def test_the_two_solutions_of_a_pair_can_play_the_same_episodes(env_name):
    settings = TrainingConfig(env_name=env_name, hidden=(), pair_seeds=True).task
    settings = dataclasses.replace(settings, compiled=env_name in DRIVING.values())
    rollouts = rollouts_of(settings, [(0, 3), (3, 9)])
    pairs = [rollouts[first : first + 2] for first in range(0, 12, 2)]
    assert [number_of_episodes(pair) for pair in pairs] == [1] * 6
    assert number_of_episodes(rollouts) > 1


def test_how_solutions_are_divided_among_workers_changes_nothing():
    env_name = DRIVING["env_name"]
    config = TrainingConfig(env_name=env_name, episodes_per_solution=3).task
    config = dataclasses.replace(config, compiled=True)
    whole = rollouts_of(config, [(0, 10)])
    parts = rollouts_of(config, [(8, 2), (0, 3), (3, 5)])
    assert number_of_episodes(whole) > 1
    for one, other in zip(whole, parts[2:] + parts[:2], strict=True):
        assert (one.fitness, one.steps) == (other.fitness, other.steps)
        assert (one.obs_stats.sum == other.obs_stats.sum).all()


@given(
    st.integers(1, 9000).map(lambda pairs: 2 * pairs),
    st.integers(1, 5),
)
def test_blocks_of_solutions_do_not_depend_on_the_workers(count, num_workers):
    """Whatever the number of workers, the same solutions are summed up together."""
    chunks = []

    class Recorder:
        def __init__(self, num_workers):
            self.num_workers = num_workers

        def run(self, works, on_progress):
            chunks.append(works)
            return [
                ChunkResult.of(
                    [
                        Evaluation(np.zeros(n), np.ones(n, int), RunningStat.empty(2))
                        for start in range(0, work.count, work.block)
                        for n in [min(work.block, work.count - start)]
                    ]
                )
                for work in works
            ]

    distribution = SearchDistribution(np.zeros(1), np.ones(1), 3, 4)
    population = Population(distribution, Normalization())
    for workers in (1, num_workers):
        result = Evaluator(Recorder(workers)).evaluate(population, 10, count)
        assert len(result.fitnesses) == len(result.steps) == count
    blocks = [
        [
            (start, min(start + work.block, work.first + work.count))
            for work in works
            for start in range(work.first, work.first + work.count, work.block)
        ]
        for works in chunks
    ]
    assert blocks[0] == blocks[1]
    assert blocks[0][-1][1] == 10 + count


def test_gymnasium_tasks_have_several_episodes_of_a_solution():
    task = make_task("CartPole-v1", {})
    batch = batch_for(task, episodes=3)
    singly = [
        task.play(Batch(batch.architecture, [s], [[seed]], batch.mean, batch.stdev))[0]
        for s, own in zip(batch.solutions, batch.seeds, strict=True)
        for seed in own
    ]
    for n, rollout in enumerate(task.play(batch)):
        own = singly[3 * n : 3 * n + 3]
        assert rollout.fitness == np.mean([each.fitness for each in own])
        assert rollout.steps == sum(each.steps for each in own)
        assert rollout.obs_stats.count == sum(each.obs_stats.count for each in own)


def test_the_first_episodes_do_not_depend_on_their_number():
    distribution = SearchDistribution(np.zeros(1), np.ones(1), 3, 4, 1)
    place = distribution.seed, EPISODE_STREAM, distribution.generation, 7, 1
    seeds = episode_seeds(*place, 5)
    assert len(set(seeds)) == 5
    assert seeds[:2] == episode_seeds(*place, 2)
    assert seeds[0] == episode_seed(*place)


def test_without_partners_no_process_waits_for_pytorch():
    code = (
        "import sys\n"
        "from pgpelib.tasks.registry import make_task, uncompiled_reason\n"
        "assert uncompiled_reason('posggym:Driving-v1', {}) is None\n"
        "make_task('posggym:Driving-v1', {}, compiled=True)\n"
        "print('torch' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "False"


def saved_partner(folder, env_name, seed, role=None, **shape):
    """Save a random policy as training does, and return the path."""
    task = make_task(env_name, {}, 25, role=role, partners=["Random-v0"])
    architecture = Architecture(task.observation_size, task.action.output_size, **shape)
    rng = np.random.default_rng(seed)
    policy = SavedPolicy(
        layers=architecture.layers(rng.normal(size=architecture.num_parameters)),
        activation="tanh",
        obs_mean=rng.uniform(0, 1, task.observation_size),
        obs_stdev=rng.uniform(0.5, 2, task.observation_size),
        action=task.action,
        env_name=env_name,
        env_config={},
        obs_processor=task.obs_processor,
        action_processor=task.action_processor,
        metadata=PolicyMetadata(role=role),
    )
    path = folder / f"policy{seed}.pickle"
    save_policy(policy, path)
    return str(path)


@pytest.mark.parametrize(
    ("env_name", "role", "partner_role", "exact"),
    [
        ("posggym:Driving-v1", None, None, True),
        ("posggym:PursuitEvasion-v1", "1", "0", True),
        ("posggym:DrivingContinuous-v0", None, None, False),
    ],
)
def test_kernels_play_the_episodes_with_saved_policies(
    env_name, role, partner_role, exact, tmp_path
):
    partners = {
        saved_partner(tmp_path, env_name, 1, partner_role, hidden=(4,)): 1,
        saved_partner(tmp_path, env_name, 2, partner_role, lstm_size=3): 2,
        "Random-v0": 0.5,
    }
    options = {"role": role, "partners": partners}
    plain = make_task(env_name, {}, 25, **options)
    compiled = make_task(env_name, {}, 25, **options, compiled=True)
    batch = batch_for(plain, episodes=6)
    played = compiled.play(batch)
    assert_same_rollouts(played, plain.play(batch), exact)
    # Wherever the files are.
    moved = tmp_path / "0" / "moved"
    moved.mkdir(parents=True)
    elsewhere = {
        str(shutil.copy2(name, moved)) if name.endswith(".pickle") else name: weight
        for name, weight in partners.items()
    }
    options["partners"] = elsewhere
    again = make_task(env_name, {}, 25, **options, compiled=True)
    assert_same_rollouts(again.play(batch), played, exact=True)
