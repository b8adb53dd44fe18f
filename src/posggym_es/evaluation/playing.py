"""Playing policies in POSGGym environments, with those who played in their training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import posggym
import posggym.agents

from pgpelib.policies.metadata import PolicyMetadata
from posggym_es.models.model_downloads import ensure_model
from posggym_es.registration.spec import AgentSpec
from posggym_es.tasks.casting import Candidates, cast
from posggym_es.tasks.posggym_envs import (
    ENDLESS_LENGTH,
    PosggymEpisodes,
    endless_length_of,
)
from posggym_es.tasks.posggym_task import partner_candidates
from posggym_es.utils.torch_threads import one_thread


class Actor(Protocol):
    """What plays an agent id: a POSGGym policy, or something that acts like one."""

    def reset(self, *, seed: int) -> None:
        """Begin an episode."""

    def step(self, observation: Any) -> Any:
        """Return the action for the next observation."""


@dataclasses.dataclass(frozen=True)
class CoPlayers:
    """Who played with a policy in training, by their registered ids, and how long.

    Parameters
    ----------
    role
        The agent id that the policy played; None for all.
    partners
        Policies of a best response's population, or their weights.
    siblings
        Policies of the other agent ids that were trained together with this one.
    endless_length
        Steps after which an episode is stopped if the environment has no time limit.
    """

    role: str | None = None
    partners: list[str] | dict[str, float] = dataclasses.field(default_factory=list)
    siblings: dict[str, str] = dataclasses.field(default_factory=dict)
    endless_length: int = ENDLESS_LENGTH


def co_players_of(
    metadata: PolicyMetadata, siblings: Sequence[AgentSpec] = ()
) -> CoPlayers:
    """Return who played with a policy in its training.

    Parameters
    ----------
    metadata
        Of the policy.
    siblings
        Specs of the agents of the same run that play the other roles.
    """
    return CoPlayers(
        metadata.role,
        metadata.played_with,
        {agent: spec.id for spec in siblings for agent in spec.valid_agent_ids or []},
        endless_length_of(metadata),
    )


@one_thread()
def play_episode(
    episodes: PosggymEpisodes,
    policies: Mapping[str, Actor],
    seed: int,
    on_state: Callable[[Any], None] | None = None,
) -> tuple[dict[str, float], int]:
    """Play one episode.

    Parameters
    ----------
    episodes
        A POSGGym environment.
    policies
        One policy per agent id.
    seed
        Seed of environment and policies.
    on_state
        Called with the environment after its reset and after each step.

    Returns
    -------
    tuple of dict and int
        Return of each agent, and number of steps.
    """
    returns = dict.fromkeys(policies, 0.0)
    observations = episodes.reset(seed)
    env = episodes.env
    for policy in policies.values():
        policy.reset(seed=seed)
    steps, done = 0, False
    if on_state is not None:
        on_state(env)
    while not done:
        actions = {i: policies[i].step(observations[i]) for i in env.agents}
        observations, rewards, _, _, done, _ = env.step(actions)
        for i, reward in rewards.items():
            returns[i] += float(reward)
        steps += 1
        if on_state is not None:
            on_state(env)
    return returns, steps


class Player:
    """A policy in its seats of an environment, with its co-players in the others.

    Parameters
    ----------
    episodes
        The environment.
    co_players
        Who plays the other agents.
    own
        Makes the policy for a model of the environment and an agent id.
    """

    def __init__(
        self,
        episodes: PosggymEpisodes,
        co_players: CoPlayers,
        own: Callable[[Any, str], Actor],
    ) -> None:
        self._episodes, self._co_players, self._own = episodes, co_players, own
        self._agents = list(episodes.env.possible_agents)
        self._candidates: dict[str, Candidates] = {
            **partner_candidates(self._agents, co_players.partners),
            **{agent: [name] for agent, name in co_players.siblings.items()},
        }
        self._made: dict[tuple[str | None, str], Actor] = {}

    def play(
        self, seed: int, on_state: Callable[[Any], None] | None = None
    ) -> tuple[float, int]:
        """Return the policy's mean return in an episode, and the episode's steps.

        `on_state` is called with the environment after its reset and after each step.
        """
        parts = cast(self._agents, seed, self._co_players.role, self._candidates)
        policies = {agent: self._actor(part, agent) for agent, part in parts.items()}
        returns, steps = play_episode(self._episodes, policies, seed, on_state)
        own = [returns[agent] for agent, part in parts.items() if part is None]
        return float(np.mean(own)), steps

    def _actor(self, policy_id: str | None, agent: str) -> Actor:
        key = policy_id, agent
        if key not in self._made:
            model = self._episodes.env.model
            if policy_id is None:
                self._made[key] = self._own(model, agent)
            else:
                if policy_id in posggym.agents.registry:
                    ensure_model(posggym.agents.registry[policy_id])
                self._made[key] = posggym.agents.make(policy_id, model, agent)
        return self._made[key]
