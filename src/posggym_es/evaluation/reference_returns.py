"""Returns of trained policies, for comparison with registered agents."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import TypeVar

from pgpelib.policies.metadata import Origin, PolicyMetadata, Reference
from pgpelib.search.pgpe import RE_EVAL_STREAM, episode_seed
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.policies.policy_checks import check_fits
from posggym_es.registration.environments import registered_env
from posggym_es.sources.base import ExtractionError

Policy = TypeVar("Policy", bound=ConvertiblePolicy)


def with_reference(
    policy: Policy,
    origin: Origin,
    episodes: int,
    fresh: bool = False,
    on_episode: Callable[[int], None] | None = None,
) -> Policy:
    """Add the returns that verification compares with, and the origin, to a policy.

    Parameters
    ----------
    policy
        The policy. It plays all agents of its environment, or with a role only that
        agent, together with its co-players from training.
    origin
        The file that the policy is from.
    episodes
        Episodes to play if there are no re-evaluations to use.
    fresh
        Whether to play new episodes even if there are re-evaluations. This is needed
        for a policy that was selected by them, because the best of many overestimates
        the policy.
    on_episode
        Called with the number of episodes played so far.

    Raises
    ------
    ValueError
        If the policy does not match its environment.
    ExtractionError
        If the policy has no role and cannot play all agents.
    """
    known = policy.metadata
    returns = known.re_eval_returns
    # The trainer's re-evaluations use the first episodes, new ones those after them.
    first = len(returns) if fresh and returns else 0
    count = episodes if fresh or not returns else len(returns)
    seeds = [_seed(known, index) for index in range(first, first + count)]
    if fresh or not returns:
        play, returns = _episodes_of(policy), []
        for seed in seeds:
            returns.append(play(seed))
            if on_episode is not None:
                on_episode(len(returns))
    reference = Reference([float(value) for value in returns], seeds)
    return policy.with_metadata(
        dataclasses.replace(known, origin=origin, reference=reference)
    )


def _seed(known: PolicyMetadata, index: int) -> int:
    """Return the seed of a re-evaluation episode; its index for foreign policies."""
    if known.generation is None:
        return index
    return episode_seed(known.seed or 0, RE_EVAL_STREAM, known.generation, index)


def _episodes_of(policy: ConvertiblePolicy) -> Callable[[int], float]:
    """Return a function that plays the episode of a seed and returns its return."""
    # On demand, because it imports PyTorch; re-evaluations by the trainer need no play.
    from posggym_es.evaluation.playing import Player, co_players_of

    env = registered_env(policy)
    known = policy.metadata
    episodes = env.make_episodes()
    made = episodes.env
    with contextlib.ExitStack() as stack:
        stack.callback(made.close)
        if known.role is None and not made.is_symmetric:
            raise ExtractionError(
                f"{policy.env_name} is not symmetric; set register.valid_agent_ids to "
                "the agent that this policy plays"
            )
        check_fits(policy, made.model, known.role or made.possible_agents[0])
        as_trained = policy.training_episodes(env.env_id, env.endless_length)
        if as_trained is not None:
            return as_trained
        stack.pop_all()
    player = Player(episodes, co_players_of(known), policy.reference_agent)
    return lambda seed: player.play(seed)[0]
