"""The search for one policy, from the configuration on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.saving import save_policy
from pgpelib.restore import load_policy
from pgpelib.training.config import TrainingConfig
from pgpelib.training.learner import Learner
from training_runs import LANDER, train


def make_learner(**settings: Any) -> Learner:
    return Learner(
        TrainingConfig(env_name="CartPole-v1", hidden=(4,), **settings), None
    )


def test_searches_start_from_weights_of_their_own():
    settings = {"init_gain": 1.0, "popsize": 4, "num_interactions": None}
    first, same = make_learner(**settings), make_learner(**settings)
    other = make_learner(**settings, seed=1)
    assert np.array_equal(first.pgpe.center, same.pgpe.center)
    assert not np.array_equal(first.pgpe.center, other.pgpe.center)
    first.pgpe.ask()
    first.pgpe.tell([0.0, 1.0, 2.0, 3.0])
    first.restart()
    weights = first.architecture.layers(first.pgpe.center)[0][0]
    assert np.count_nonzero(weights) == weights.size
    assert not np.array_equal(first.pgpe.center, same.pgpe.center)


def test_by_default_searches_start_at_zero():
    assert not make_learner().pgpe.center.any()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A saved policy."""
    training = train(tmp_path_factory.mktemp("trained"))
    return next(training.policies_dir.glob("*_iter3.pickle"))


def continued(path: Path, **changes: Any) -> TrainingConfig:
    return TrainingConfig.from_dict({**LANDER, "init_policy": str(path), **changes})


def test_a_search_starts_from_a_saved_policy(trained):
    one_batch = {"popsize_max": None, "num_interactions": None}
    learner = Learner(continued(trained, **one_batch), None)
    start = learner.policy(learner.candidate(), PolicyMetadata())
    saved = load_policy(trained)
    for observation in np.random.default_rng(0).normal(size=(20, 8)):
        ours, theirs = (p.network().forward(observation) for p in (start, saved))
        assert ours == pytest.approx(theirs, rel=1e-6)
    learner.pgpe.ask()
    learner.pgpe.tell(np.arange(learner.pgpe.popsize))
    center = Learner(continued(trained), None).pgpe.center
    assert not np.array_equal(learner.pgpe.center, center)
    learner.restart()
    assert np.array_equal(learner.pgpe.center, center)


def test_a_search_gives_a_saved_policy_a_memory(tmp_path):
    training = train(tmp_path, hidden=[4])
    path = next(training.policies_dir.glob("*_iter3.pickle"))
    same, larger = (
        Learner(continued(path, hidden=[4], lstm_size=size), None) for size in (0, 6)
    )
    assert larger.obs_stats.count == same.obs_stats.count > 0
    start = larger.pgpe.center
    *_, lstm, (weights, _) = larger.architecture.layers(start)
    assert np.count_nonzero(lstm[0]) > 0
    assert weights.any(axis=0).tolist() == [True] * 4 + [False] * 2
    larger.restart()
    assert np.array_equal(larger.pgpe.center, start)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden": [4]}, r"init_policy: .*\.pickle has hidden \(\), not \(4,\)"),
        ({"obs_norm": False}, "was trained with obs_norm; set obs_norm to true"),
        ({"env_name": "CartPole-v1"}, "has observation_size 8, not 4"),
    ],
)
def test_a_policy_with_another_network_is_no_start(trained, changes, message):
    with pytest.raises(ValueError, match=message):
        Learner(continued(trained, **changes), None)


def test_an_lstm_that_is_added_needs_more_cells_than_units(tmp_path):
    cart = {"env_name": "CartPole-v1", "hidden": [6]}
    learner = Learner(TrainingConfig.from_dict(cart), None)
    path = tmp_path / "policy.pickle"
    save_policy(learner.policy(learner.candidate(), PolicyMetadata()), path)
    message = r"\.pickle has a last layer of 6; set lstm_size to more than 6, not 6"
    config = TrainingConfig.from_dict(
        {**cart, "lstm_size": 6, "init_policy": str(path)}
    )
    with pytest.raises(ValueError, match=message):
        Learner(config, None)


def test_runs_are_told_apart_by_the_policy_that_they_start_from(trained, tmp_path):
    moved = tmp_path / "policy.pickle"
    moved.write_bytes(trained.read_bytes())
    earlier = next(trained.parent.glob("*_iter2.pickle"))
    digests = [continued(path).digest for path in (trained, moved, earlier)]
    assert digests[0] == digests[1]
    assert len({*digests, TrainingConfig.from_dict(LANDER).digest}) == 3


def test_a_start_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"missing\.pickle"):
        _ = continued(tmp_path / "missing.pickle").digest
