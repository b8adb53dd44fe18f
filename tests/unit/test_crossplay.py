"""Cross-play: who meets whom, what the numbers mean, and that nothing is lost."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import posggym
import posggym.agents
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickle_bombs import Executes
from posggym_es.evaluation.crossplay import (
    assignments,
    policies_of,
    usable,
)
from posggym_es.evaluation.payoffs import Variant, diversity, regret
from posggym_es.tasks.family import RANDOM_POLICY

AGENTS = ["0", "1", "2"]


def test_in_self_play_a_policy_has_all_places():
    assert assignments(AGENTS, "a", "a", {"a": None}) == [dict.fromkeys(AGENTS, "a")]
    assert assignments(AGENTS, "a", "a", {"a": ["0", "1"]}) == []


def test_in_cross_play_each_place_is_taken_in_turn():
    parts = assignments(AGENTS, "a", "b", {"a": None, "b": None})
    assert [[k for k, v in part.items() if v == "a"] for part in parts] == [
        ["0"],
        ["1"],
        ["2"],
    ]
    assert all(list(part.values()).count("b") == 2 for part in parts)


@given(st.sets(st.sampled_from(AGENTS)), st.sets(st.sampled_from(AGENTS)))
def test_no_policy_plays_an_agent_that_it_cannot(first, second):
    valid = {"a": sorted(first), "b": sorted(second)}
    parts = assignments(AGENTS, "a", "b", valid)
    for part in parts:
        assert set(part) == set(AGENTS)
        assert all(agent in valid[policy] for agent, policy in part.items())
    possible = [o for o in first if set(AGENTS) - {o} <= second]
    assert len(parts) == len(possible)


@pytest.fixture
def game():
    variant = Variant(
        "Driving-v1", {"grid": "7x7RoundAbout", "num_agents": 2, "obs_dim": (3, 1, 1)}
    )
    return variant, ["Driving-v1/A0Shortestpath-v0", RANDOM_POLICY]


def test_policies_for_any_arguments_are_included(game):
    variant, policies = game
    found = policies_of(variant)
    assert set(policies) <= set(found)
    # Those for another grid are not.
    assert not [name for name in found if "14x14" in name]


def test_what_cannot_be_made_is_named_with_the_reason(game):
    variant, policies = game
    broken = "PursuitEvasion-v1/ShortestPath-v0"
    made, reasons = usable(variant, [*policies, broken])
    assert made == policies
    assert list(reasons) == [broken]
    assert reasons[broken]


def test_policy_files_are_read_before_posggym_loads_them(game, tmp_path, monkeypatch):
    variant = Variant("Driving-v1", {})
    ours = "Driving-v1/grid=14x14RoundAbout-num_agents=2/RL1-v0"
    marker, path = tmp_path / "executed", tmp_path / "RL1.pkl"
    path.write_bytes(pickle.dumps(Executes("touch", str(marker))))
    spec = posggym.agents.registry[ours]
    monkeypatch.setitem(spec.kwargs, "policy_file_path", path)
    made, reasons = usable(variant, [ours, RANDOM_POLICY])
    assert made == [RANDOM_POLICY]
    assert f"{path}: not a policy file" in reasons[ours]
    assert not marker.exists()


def test_policies_for_the_same_arguments_are_found_however_they_are_given():
    # POSGGym's own agents for this world name max_obs_distance, which it chooses so.
    found = policies_of(Variant("PursuitEvasionContinuous-v0", {"world": "16x16"}))
    assert "PursuitEvasionContinuous-v0/world=16x16/sp_seed0_i0-v0" in found
    assert not [name for name in found if "8x8" in name]


PAYOFFS = st.integers(1, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.floats(-100, 100), min_size=n, max_size=n), min_size=n, max_size=n
    )
)


@given(PAYOFFS)
def test_regret_is_against_the_best_response_to_each_partner(values):
    payoffs = pd.DataFrame(values)
    losses = regret(payoffs)
    assert (losses >= 0).all(axis=None)
    assert (losses.min(axis=0) == 0).all()
    for column in payoffs:
        best = payoffs[column].idxmax()
        assert losses.loc[best, column] == 0


@given(st.integers(1, 8), st.floats(0.1, 100))
def test_policies_that_are_all_the_same_are_not_diverse(count, value):
    measures = diversity(pd.DataFrame(np.full((count, count), value)))
    # A kernel of ones has one eigenvalue, n: its expected cardinality is n / (n + 1).
    assert measures.expected_cardinality == pytest.approx(count / (count + 1))
    assert measures.self_play == pytest.approx(value)
    if count > 1:
        assert measures.proportional_loss == pytest.approx(0, abs=1e-9)


@given(st.integers(2, 8), st.floats(0.1, 100))
def test_policies_that_only_work_with_themselves_are_as_diverse_as_can_be(count, value):
    measures = diversity(pd.DataFrame(np.eye(count) * value))
    assert measures.expected_cardinality == pytest.approx(count / 2)
    assert measures.proportional_loss == pytest.approx(1)


def test_gaps_are_left_out_of_the_means():
    payoffs = pd.DataFrame([[np.nan, 1.0], [3.0, np.nan]])
    measures = diversity(payoffs)
    assert measures.self_play is None
    assert measures.cross_play == 2
    assert measures.expected_cardinality is None
