"""Returns of trained policies, which verification compares registered agents with."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

from pgpelib.policies.metadata import Origin, PolicyMetadata, Reference
from pgpelib.policies.policy import SavedPolicy
from pgpelib.search.pgpe import RE_EVAL_STREAM, episode_seed
from pgpelib.tasks.registry import make_task
from posggym_es.conversion.ppo_policies import ReferenceAgent
from posggym_es.evaluation.playing import Player, co_players_of
from posggym_es.models.ppo_data import PPOPolicyData
from posggym_es.policies.policy_checks import check_fits
from posggym_es.policies.selection import ExtractionError
from posggym_es.registration.environments import registered_env
from posggym_es.tasks.family import POSGGYM_PREFIX
from posggym_es.tasks.posggym_envs import RANDOM_POLICY


def with_reference(
    policy: SavedPolicy,
    origin: Origin,
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
        The file that it is from.
    episodes
        Episodes to play when there are no re-evaluations to use.
    fresh
        Play even if the trainer re-evaluated. The best of many re-evaluations is
        better than its policy, so a pick by re-evaluation needs new episodes.
    on_episode
        Called with the number of episodes played so far.
    """
    known = policy.metadata
    returns = known.re_eval_returns
    # The trainer's own re-evaluations count their episodes from 0; fresh ones go on.
    first = len(returns) if fresh and returns else 0
    count = episodes if fresh or not returns else len(returns)
    seeds = [_seed(known, index) for index in range(first, first + count)]
    if fresh or not returns:
        env = registered_env(policy)
        with contextlib.closing(env.make()) as made:
            check_fits(policy, made, known.role or made.possible_agents[0])
        is_posggym = policy.env_name.startswith(POSGGYM_PREFIX)
        prefix = POSGGYM_PREFIX if is_posggym else ""
        task = make_task(
            prefix + env.env_id,
            policy.env_config,
            env.endless_length,
            role=known.role,
            partners=known.partner_ids,
            only_if_endless=True,
        )
        network, returns = policy.network(), []
        for episode in seeds:
            returns.append(task.rollout(network, episode).fitness)
            if on_episode is not None:
                on_episode(len(returns))
    reference = Reference([float(value) for value in returns], seeds)
    return dataclasses.replace(
        policy,
        metadata=dataclasses.replace(known, origin=origin, reference=reference),
    )


def _seed(known: PolicyMetadata, index: int) -> int:
    """Return the seed of a re-evaluation episode; 0, 1, ... for foreign policies."""
    if known.generation is None:
        return index
    return episode_seed(known.seed or 0, RE_EVAL_STREAM, known.generation, index)


def ppo_with_reference(
    policy: PPOPolicyData,
    origin: Origin,
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
        The file that it is from.
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
    known = dataclasses.replace(
        policy.metadata,
        role=role,
        partners=[] if role is None else [RANDOM_POLICY],
        origin=origin,
        # Found in the file whether or not there is one.
        stated=(*policy.metadata.stated, "role"),
    )
    player = Player(
        game,
        co_players_of(known),
        lambda model, agent: ReferenceAgent(policy, model, agent),
    )
    seeds: list[int] = list(range(episodes))
    returns: list[float] = []
    for seed in seeds:
        returns.append(player.play(seed)[0])
        if on_episode is not None:
            on_episode(len(returns))
    known = dataclasses.replace(known, reference=Reference(returns, seeds))
    return dataclasses.replace(policy, metadata=known)
