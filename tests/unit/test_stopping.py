"""What follows from re-evaluations: the best center, restarts, the end of a run."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgpelib.restore import load_policy
from pgpelib.training.config import TrainingConfig
from pgpelib.training.loop import Training
from pgpelib.training.stopping import StoppingRule, Verdict
from training_runs import LANDER, results, train

GO_ON, RESTART, STOP = Verdict.CONTINUE, Verdict.RESTART, Verdict.STOP
# Such large steps are hardly ever better for long, so searches are given up after a few
# generations.
SEARCHES = {
    "env_name": "CartPole-v1",
    "hidden": [],
    "popsize": 4,
    "popsize_max": None,
    "num_interactions": None,
    "max_speed": 3.0,
    "center_lr": 3.0,
    "niters": 40,
    "re_eval_interval": 1,
    "re_eval_num_episodes": 5,
    "save_interval": 100,
    "keep_best": True,
    "patience": 2,
    "restarts": 2,
    "max_speed_decay": 0.9,
    "stdev_decay": 0.9,
    "stdev_lr": 0.0,
}


@pytest.mark.parametrize(
    ("rule", "means", "verdicts"),
    [
        (StoppingRule(), [1, 0, 0, 0], [GO_ON] * 4),
        (StoppingRule(target=2.0), [1, 1.9, 2], [GO_ON, GO_ON, STOP]),
        (StoppingRule(patience=2), [1, 2, 2, 1], [GO_ON] * 3 + [STOP]),
        # What an earlier search reached counts for nothing in the next one.
        (
            StoppingRule(patience=1, restarts=1),
            [5, 4, 1, 2, 2],
            [GO_ON, RESTART, GO_ON, GO_ON, STOP],
        ),
        (StoppingRule(target=2.0, patience=1, restarts=1), [1, 3], [GO_ON, STOP]),
        (StoppingRule(patience=2), [np.nan, 1, np.nan, 1], [GO_ON] * 3 + [STOP]),
    ],
)
def test_verdicts(rule, means, verdicts):
    assert [rule.judge(mean) for mean in means] == verdicts
    assert rule.stopped == (STOP in verdicts)


@given(
    st.lists(st.integers(0, 5), min_size=60, max_size=60),
    st.integers(1, 4),
    st.integers(0, 3),
)
def test_restarts_are_limited_and_patience_ends_runs(means, patience, restarts):
    rule = StoppingRule(patience=patience, restarts=restarts)
    verdicts = []
    while not rule.stopped and len(verdicts) < len(means):
        verdicts.append(rule.judge(means[len(verdicts)]))
    # Six values can rise five times at the most, each after a full wait.
    assert rule.stopped or len(means) < (restarts + 1) * 6 * patience
    assert verdicts.count(RESTART) == restarts or not rule.stopped
    assert verdicts.count(STOP) == rule.stopped


@pytest.fixture(scope="module")
def searches(tmp_path_factory):
    """An uninterrupted run of several searches."""
    run_dir = tmp_path_factory.mktemp("searches")
    train(run_dir, **SEARCHES)
    return run_dir


def means_of(metrics):
    return {int(row["generation"]): float(row["re_eval_mean"]) for row in metrics}


def restarts_of(metrics):
    """Return the generations after which a search was given up, from the metrics."""
    # Stdevs do nothing but decay.
    stdevs = [float(row["stdev_mean"]) for row in metrics]
    pairs = itertools.pairwise(stdevs)
    return [n for n, (before, after) in enumerate(pairs, 1) if after > before]


def test_searches_restart_and_the_best_center_of_all_is_saved(searches):
    _, metrics, _ = results(searches)
    means = means_of(metrics)
    assert len(restarts_of(metrics)) == 2
    assert len(metrics) < SEARCHES["niters"]
    (path,) = (searches / "policies").iterdir()
    policy = load_policy(path)
    best = policy.metadata.best_generation
    assert means[best] == max(means.values())
    assert np.mean(policy.metadata.re_eval_returns) == means[best]
    assert policy.metadata.generation == len(metrics)


def test_the_best_center_is_what_a_run_that_ends_there_saves(searches, tmp_path):
    (path,) = (searches / "policies").iterdir()
    best = load_policy(path)
    train(tmp_path, **SEARCHES | {"niters": best.metadata.best_generation})
    (path,) = (tmp_path / "policies").iterdir()
    same = load_policy(path)
    for one, other in zip(best.layers, same.layers, strict=True):
        for array, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(best.obs_mean, same.obs_mean)


def test_searches_go_on_where_they_were_interrupted(searches, tmp_path):
    for niters, num_cpus in ((4, 2), (40, 3)):
        train(tmp_path, **SEARCHES | {"niters": niters}, num_cpus=num_cpus)
    state, metrics, _ = results(tmp_path)
    expected = results(searches)
    assert (state, metrics) == expected[:2]


@pytest.mark.parametrize("lost", ["restart", "after a restart"])
def test_a_generation_whose_state_was_lost_is_done_again(searches, tmp_path, lost):
    """Killed when the metrics were written and the state was not."""
    expected = results(searches)
    generation = restarts_of(expected[1])[0] + (lost != "restart")
    train(tmp_path, **SEARCHES | {"niters": generation - 1})
    before = (tmp_path / "state.npz").read_bytes()
    train(tmp_path, **SEARCHES | {"niters": generation})
    (tmp_path / "state.npz").write_bytes(before)
    train(tmp_path, **SEARCHES)
    assert results(tmp_path)[:2] == expected[:2]


def test_a_run_ends_at_its_target_and_goes_on_with_a_higher_one(searches, tmp_path):
    means = means_of(results(searches)[1])
    target = means[2]
    first = min(n for n, mean in means.items() if mean >= target)
    train(tmp_path, **SEARCHES, target_return=target)
    assert results(tmp_path)[1] == results(searches)[1][:first]
    # It is finished: nothing is trained, and nothing is changed.
    before = (tmp_path / "state.npz").read_bytes()
    train(tmp_path, **SEARCHES, target_return=target)
    assert (tmp_path / "state.npz").read_bytes() == before
    train(tmp_path, **SEARCHES)
    assert results(tmp_path)[:2] == results(searches)[:2]


def test_a_run_that_a_lower_target_ends_saves_its_best_center(searches, tmp_path):
    config = TrainingConfig.from_dict({**LANDER, **SEARCHES})
    with Training(config, tmp_path) as training:
        for _ in range(4):
            training.step()
    assert not list((tmp_path / "policies").glob("*"))
    means = means_of(results(searches)[1][:4])
    best = max(means.values())
    train(tmp_path, **SEARCHES, target_return=best)
    (path,) = (tmp_path / "policies").iterdir()
    metadata = load_policy(path).metadata
    assert metadata.generation == 4
    assert means[metadata.best_generation] == best


def test_the_log_says_why_a_search_ends(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    training = train(tmp_path, **SEARCHES | {"patience": 1})
    lines = [line for line in caplog.messages if "were not better" in line]
    assert [line.rpartition("; ")[2] for line in lines] == [
        "restarting",
        "restarting",
        "the run ends",
    ]
    assert training.finished
    assert training.generation < SEARCHES["niters"]
