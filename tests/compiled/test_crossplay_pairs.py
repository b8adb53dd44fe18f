"""Pairs of cross-play have the same returns in kernels and in POSGGym."""

from __future__ import annotations

import logging

import pandas as pd
import posggym
import posggym.agents
import pytest
from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from made_policies import linear_policy_for
from posggym_es.evaluation.crossplay import (
    assignments,
    not_compiled,
    play_all,
    play_compiled_pair,
    play_pair,
)
from posggym_es.evaluation.payoffs import Variant
from posggym_es.models.posggym_model_file import model_file_bytes
from posggym_es.policies.lossless import convert
from posggym_es.tasks.family import RANDOM_POLICY


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
    converted = convert(linear_policy_for(env))
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
    parts = assignments(["0", "1"], row, column, {row: None, column: None})
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
