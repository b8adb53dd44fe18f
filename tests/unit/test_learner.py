"""The search for one policy, from the configuration on."""

from __future__ import annotations

from typing import Any

import numpy as np

from pgpelib.training.config import TrainingConfig
from pgpelib.training.learner import Learner


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
