"""Cross-play: who meets whom, what the numbers mean, and that nothing is lost."""

from __future__ import annotations

import json
import logging
import pickle
import shutil

import numpy as np
import pandas as pd
import posggym
import posggym.agents
import pytest
from hypothesis import given
from hypothesis import strategies as st
from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from posggym_es.conversion.lossless import convert
from posggym_es.evaluation.crossplay import (
    RANDOM_POLICY,
    not_compiled,
    play_all,
    play_compiled_pair,
    play_pair,
    policies_of,
    seats,
    usable,
)
from posggym_es.evaluation.payoffs import Variant, diversity, matrix, regret
from posggym_es.models.posggym_model_file import model_file_bytes
from posggym_es.utils.return_statistics import mean_interval
from test_model_downloads import Executes
from test_proofs import make_policy
from workspace import Workspace

AGENTS = ["0", "1", "2"]


def test_in_self_play_a_policy_has_all_places():
    assert seats(AGENTS, "a", "a", {"a": None}) == [dict.fromkeys(AGENTS, "a")]
    assert seats(AGENTS, "a", "a", {"a": ["0", "1"]}) == []


def test_in_cross_play_each_place_is_taken_in_turn():
    parts = seats(AGENTS, "a", "b", {"a": None, "b": None})
    assert [[k for k, v in part.items() if v == "a"] for part in parts] == [
        ["0"],
        ["1"],
        ["2"],
    ]
    assert all(list(part.values()).count("b") == 2 for part in parts)


@given(st.sets(st.sampled_from(AGENTS)), st.sets(st.sampled_from(AGENTS)))
def test_no_policy_plays_an_agent_that_it_cannot(first, second):
    valid = {"a": sorted(first), "b": sorted(second)}
    parts = seats(AGENTS, "a", "b", valid)
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


def test_pairs_are_played_once_and_the_same_with_any_workers(tmp_path):
    variant = Variant("CooperativeReaching-v0", {"size": 5, "num_goals": 4})
    policies = ["CooperativeReaching-v0/H1-v0", RANDOM_POLICY]
    tables = [
        play_all(variant, policies, 3, workers, tmp_path / str(workers))
        for workers in (1, 2)
    ]
    pd.testing.assert_frame_equal(*tables)
    assert len(tables[0]) == 4
    files = sorted((tmp_path / "1").iterdir())
    before = {path: path.stat().st_mtime_ns for path in files}
    # One pair is lost; the others are not played again.
    lost = files[0].read_bytes()
    files[0].unlink()
    again = play_all(variant, policies, 3, 1, tmp_path / "1")
    pd.testing.assert_frame_equal(again, tables[0])
    assert files[0].read_bytes() == lost
    assert all(path.stat().st_mtime_ns == before[path] for path in files[1:])
    # Another number of episodes is another result.
    play_all(variant, policies, 2, 1, tmp_path / "1")
    assert len(list((tmp_path / "1").iterdir())) == 8


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """An agent of the pipeline, registered for the world of POSGGym's own."""
    variant = Variant("Driving-v1", {"grid": "14x14RoundAbout", "num_agents": 2})
    env = posggym.make(variant.env_id, **variant.env_args)
    converted = convert(make_policy(env))
    env.close()
    path = tmp_path / "pgpe.pkl"
    path.write_bytes(model_file_bytes(converted.model))
    obs, action = converted.obs_processor, converted.action_processor
    spec = PPOPolicy.get_spec_from_path(
        policy_file_path=path,
        env_id=variant.env_id,
        env_args=variant.env_args,
        obs_processor_cls=getattr(processors, obs.name),
        obs_processor_config=obs.config,
        action_processor_cls=getattr(processors, action.name),
        action_processor_config=action.config,
    )
    monkeypatch.setitem(posggym.agents.registry, spec.id, spec)
    return variant, spec.id


@pytest.fixture
def network(shared_data, monkeypatch):
    """A network of POSGGym's, with its file from the shared data."""
    policy = "Driving-v1/grid=14x14RoundAbout-num_agents=2/RL1-v0"
    (path,) = (shared_data / "posggym-agent-models").rglob("RL1.pkl")
    kwargs = posggym.agents.registry[policy].kwargs
    monkeypatch.setitem(kwargs, "policy_file_path", path)
    return policy


def both_ways(variant, row, column, episodes):
    """Return the returns of a pair by compiled kernels, and in POSGGym itself."""
    parts = seats(["0", "1"], row, column, {row: None, column: None})
    args = variant, parts, row, episodes
    return play_compiled_pair(*args), play_pair(*args)


def test_kernels_give_the_returns_of_posggym(trained):
    variant, policy = trained
    compiled, own = both_ways(variant, policy, policy, 20)
    assert compiled == own
    compiled, own = both_ways(variant, policy, RANDOM_POLICY, 20)
    assert compiled == own
    assert len(set(own)) > 1


def test_sampled_networks_draw_in_kernels_what_they_draw_in_posggym(trained, network):
    variant, policy = trained
    for row, column in ((network, policy), (policy, network), (network, network)):
        compiled, own = both_ways(variant, row, column, 20)
        # No draw fell between float32 and float64.
        assert compiled == own
        assert len(set(own)) > 1


def test_posggym_plays_what_kernels_do_not_and_the_log_says_why(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    variant = Variant("LevelBasedForaging-v3", {"size": 5, "sight": 4})
    table = play_all(variant, [RANDOM_POLICY], 2, 1, tmp_path)
    assert len(table) == 1
    lines = [line for line in caplog.text.splitlines() if "play the episodes" in line]
    assert len(lines) == 1


def test_kernels_play_the_other_pairs_of_an_environment():
    driver = "DrivingGen-v1/A40Shortestpath-v0"
    reasons = not_compiled(Variant("DrivingGen-v1", {}), [driver, RANDOM_POLICY])
    assert list(reasons) == [driver]
    assert driver in reasons[driver]


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


def test_the_target_writes_tables_heat_map_and_page(root, done, tmp_path):
    shutil.copytree(done.folder, tmp_path / "copy", symlinks=True)
    config = {**done.config, "only": ["reaching"], "crossplay": {"episodes": 3}}
    workspace = Workspace(root, tmp_path / "copy", config)
    workspace.succeed("register_all")
    (folder,) = (workspace.folder / "results/crossplay/CooperativeReaching-v0").glob(
        "size*"
    )
    table = pd.read_csv(folder / "payoffs.csv")
    ours = [name for name in set(table.row) if "pgpe_sp" in name]
    assert len(ours) == 1
    # POSGGym's own are there as well.
    assert [name for name in set(table.row) if name not in (*ours, RANDOM_POLICY)]
    assert (table.episodes == 3).all()
    means = pd.read_csv(folder / "matrix.csv", index_col=0)
    assert means.shape == (len(set(table.row)),) * 2
    pd.testing.assert_frame_equal(
        matrix(table).reset_index(drop=True),
        means.reset_index(drop=True),
        check_names=False,
    )
    pairs = workspace.folder / "runs/full/crossplay/CooperativeReaching-v0/pairs"
    for path in pairs.iterdir():
        pair = json.loads(path.read_text())
        row = table[(table.row == pair["row"]) & (table.column == pair["column"])]
        assert tuple(row[["mean", "margin"]].iloc[0]) == pytest.approx(
            mean_interval(pair["returns"])
        )
    page = (folder / "index.html").read_text()
    assert "<svg" in page
    assert "pgpe_sp" in (folder / "heat_map.svg").read_text()
    index = (workspace.folder / "results" / "index.html").read_text()
    assert f"crossplay/CooperativeReaching-v0/{folder.name}/index.html" in index
