"""Returns of trained policies, which verification compares registered agents with."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

from pgpelib.policies.policy import SavedPolicy
from pgpelib.search.pgpe import RE_EVAL_STREAM, episode_seed
from pgpelib.tasks.registry import make_task
from posggym_es.conversion.ppo_policies import ReferenceAgent
from posggym_es.evaluation.playing import Player, company_of
from posggym_es.models.ppo_data import PPOPolicyData
from posggym_es.policies.policy_checks import check_fits
from posggym_es.policies.selection import ExtractionError
from posggym_es.registration.environments import registered_env
from posggym_es.tasks.family import POSGGYM_PREFIX

# Registered by POSGGym for every environment.
RANDOM_POLICY = "Random-v0"


def with_reference(
    policy: SavedPolicy,
    origin: dict[str, Any],
    episodes: int,
    fresh: bool,
    on_episode: Callable[[int], None] | None = None,
) -> SavedPolicy:
    """Add the returns that verification compares with, and where the policy is from.

    Parameters
    ----------
    policy
        The picked policy.
    origin
        Plain data on where it is from.
    episodes
        Episodes to play when there are no re-evaluations to use.
    fresh
        Play even if the trainer re-evaluated. The best of many re-evaluations is
        better than its policy, so a pick by re-evaluation needs new episodes.
    on_episode
        Called with the number of episodes played so far.
    """
    notes = dict(policy.notes)
    returns = notes.get("re_eval_returns")
    # The trainer's own re-evaluations count their episodes from 0; fresh ones go on.
    first = len(returns) if fresh and returns else 0
    count = episodes if fresh or not returns else len(returns)
    seeds = [_seed(notes, index) for index in range(first, first + count)]
    if fresh or not returns:
        env = registered_env(policy)
        with contextlib.closing(env.make()) as made:
            check_fits(policy, made, notes.get("role") or made.possible_agents[0])
        is_posggym = policy.env_name.startswith(POSGGYM_PREFIX)
        prefix = POSGGYM_PREFIX if is_posggym else ""
        config = notes.get("config") or {}
        task = make_task(
            prefix + env.env_id,
            policy.env_config,
            env.endless_length,
            role=notes.get("role"),
            partners=config.get("partners", ()),
            only_if_endless=True,
        )
        network, returns = policy.network(), []
        for episode in seeds:
            returns.append(task.rollout(network, episode).fitness)
            if on_episode is not None:
                on_episode(len(returns))
    notes["origin"] = origin
    notes["reference"] = {
        "returns": [float(value) for value in returns],
        "seeds": seeds,
    }
    return dataclasses.replace(policy, notes=notes)


def _seed(notes: dict[str, Any], index: int) -> int:
    """Return the seed of a re-evaluation episode; 0, 1, ... for foreign policies."""
    if "generation" not in notes:
        return index
    return episode_seed(
        int(notes.get("seed", 0)), RE_EVAL_STREAM, int(notes["generation"]), index
    )


def ppo_with_reference(
    policy: PPOPolicyData,
    origin: dict[str, Any],
    episodes: int,
    role: str | None,
    on_episode: Callable[[int], None] | None = None,
) -> PPOPolicyData:
    """Add the returns that verification compares with, and where the policy is from.

    The policy plays all agents or, with a role, one agent among random ones.

    Parameters
    ----------
    policy
        A policy of the PPO baselines.
    origin
        Plain data on where it is from.
    episodes
        Episodes to play, with seeds 0, 1, ....
    role
        The agent id that it plays; None for all.
    on_episode
        Called with the number of episodes played so far.

    Raises
    ------
    ExtractionError
        If the policy cannot play all agents and no role is given.
    """
    env = registered_env(policy)
    game = env.make_episodes()
    if role is None and not game.env.is_symmetric:
        raise ExtractionError(
            f"{policy.env_name}: not symmetric; set register.valid_agent_ids to the "
            "agent that this policy plays"
        )
    notes = {
        **policy.notes,
        "role": role,
        "partners": [] if role is None else [RANDOM_POLICY],
        "origin": origin,
    }
    player = Player(
        game,
        company_of(notes, []),
        lambda model, agent: ReferenceAgent(policy, model, agent),
    )
    seeds, returns = list(range(episodes)), []
    for seed in seeds:
        returns.append(player.play(seed)[0])
        if on_episode is not None:
            on_episode(len(returns))
    notes["reference"] = {"returns": returns, "seeds": seeds}
    return dataclasses.replace(policy, notes=notes)
