"""Who plays which agent in an episode."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posggym_es.tasks.casting import cast, casts

AGENTS = ["0", "1", "2"]
SEEDS = st.integers(0, 2**64 - 1)
NAMES = st.lists(st.sampled_from("abcde"), min_size=1, unique=True)


@given(SEEDS, NAMES, NAMES)
def test_candidates_without_weights_take_turns(seed, first, second):
    candidates = {"1": first, "2": second}
    period = len(AGENTS) * math.lcm(len(first), len(second))
    assert cast(AGENTS, seed, "0", candidates) == cast(
        AGENTS, seed % period, "0", candidates
    )
    parts = [cast(AGENTS, each, "0", candidates) for each in range(period)]
    assert len(set(Counter(part["1"] for part in parts).values())) == 1
    assert {part["2"] for part in parts} == set(second)


def test_candidates_are_drawn_by_their_weights():
    weights = {"a": 1, "b": 2.5, "c": 0.5}
    count = 20000
    parts = [
        cast(AGENTS, seed, "0", {"1": weights, "2": weights}) for seed in range(count)
    ]
    for agent in ("1", "2"):
        shares = Counter(part[agent] for part in parts)
        for name, weight in weights.items():
            assert shares[name] / count == pytest.approx(weight / 4, abs=0.015)
    # The agents are drawn independently.
    both = Counter((part["1"], part["2"]) for part in parts)
    assert both["a", "b"] / count == pytest.approx(1 / 4 * 2.5 / 4, abs=0.015)


@given(
    SEEDS, st.dictionaries(st.sampled_from("abcde"), st.floats(1e-3, 1e3), min_size=1)
)
def test_a_draw_depends_on_the_seed_and_the_weights_alone(seed, weights):
    turned = dict(reversed(weights.items()))
    doubled = {name: 2 * weight for name, weight in weights.items()}
    (first, *others) = (
        cast(AGENTS, seed, "0", {"1": each, "2": each})
        for each in (weights, turned, doubled)
    )
    assert others == [first, first]
    assert first["1"] in weights


@given(
    st.lists(SEEDS, min_size=1),
    st.sampled_from([None, *AGENTS]),
    NAMES,
    st.dictionaries(st.sampled_from("abcde"), st.floats(1e-3, 1e3), min_size=1),
)
def test_many_seeds_are_cast_like_each_alone(seeds, role, turns, weights):
    candidates = {"0": weights, "1": turns, "2": weights}
    names = list("abcde")
    together = casts(AGENTS, np.array(seeds, np.uint64), role, candidates, names)
    for seed, numbers in zip(seeds, together, strict=True):
        players = [None if number == 0 else names[number - 1] for number in numbers]
        assert players == list(cast(AGENTS, seed, role, candidates).values())
