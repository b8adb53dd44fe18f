"""Episodes with POSGGym's policies."""

from __future__ import annotations

import sys

import posggym.agents
import pytest
import torch

from posggym_es.evaluation.playing import play_episode
from posggym_es.tasks.posggym_envs import PosggymEpisodes
from posggym_es.utils.small_networks import small_networks


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_policies_play_with_one_thread_and_the_caller_keeps_his(two_threads):
    # On a busy machine, threads of a small network wait for each other many times as
    # long as it computes.
    game = PosggymEpisodes("CooperativeReaching-v0", {})
    policies = {
        agent: posggym.agents.make("Random-v0", game.env.model, agent)
        for agent in game.env.possible_agents
    }
    during = set()
    play_episode(game, policies, 0, lambda _: during.add(torch.get_num_threads()))
    assert during == {1}
    assert torch.get_num_threads() == 2


def test_policies_of_an_episode_draw_numbers_of_their_own():
    game = PosggymEpisodes("MultiAccessBroadcastChannel-v0", {})
    policies = {
        agent: posggym.agents.make("Random-v0", game.env.model, agent)
        for agent in game.env.possible_agents
    }
    returns, _ = play_episode(game, policies, 0)
    # A message gets through where one agent sends alone: never, if all act alike.
    assert min(returns.values()) > 0


def test_resets_are_deterministic_without_pytorchs_compiler(monkeypatch):
    compiler = "torch._inductor.config"
    monkeypatch.delitem(sys.modules, compiler, raising=False)
    original = torch.use_deterministic_algorithms
    with small_networks():
        # POSGGym's policies do this when they are reset.
        torch.use_deterministic_algorithms(True)
        assert torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
        assert not torch.are_deterministic_algorithms_enabled()
    assert compiler not in sys.modules
    assert torch.use_deterministic_algorithms is original
