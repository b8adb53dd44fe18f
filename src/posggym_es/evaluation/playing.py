"""Playing policies in POSGGym environments, with their co-players from training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import posggym
import posggym.agents

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.policy import SavedPolicy
from posggym_compiled.random.splitmix import policy_seed
from posggym_es.models.model_downloads import ensure_model
from posggym_es.policies.evolved import convertible
from posggym_es.registration.environments import posggym_episodes
from posggym_es.registration.spec import AgentSpec
from posggym_es.tasks.casting import Candidates, cast
from posggym_es.tasks.partners import partner_pool
from posggym_es.tasks.posggym_envs import (
    ENDLESS_LENGTH,
    PosggymEpisodes,
    endless_length_of,
)
from posggym_es.utils.small_networks import small_networks


class Actor(Protocol):
    """Plays an agent: a POSGGym policy, or an object with the same methods."""

    def reset(self, *, seed: int) -> None:
        """Start an episode."""

    def step(self, observation: Any) -> Any:
        """Return the action for the next observation."""


@dataclasses.dataclass(frozen=True)
class CoPlayers:
    """The policies that played with a policy in its training.

    Parameters
    ----------
    role
        The agent id that the policy played; None for all.
    partners
        The partners of a best response, or a mapping to their weights: ids, or the
        paths of saved policies.
    siblings
        Ids of policies that were trained together with this one, keyed by the agent ids
        that they play.
    endless_length
        Maximum steps per episode if the environment has no time limit.
    """

    role: str | None = None
    partners: list[str] | dict[str, float] = dataclasses.field(default_factory=list)
    siblings: dict[str, str] = dataclasses.field(default_factory=dict)
    endless_length: int = ENDLESS_LENGTH


def co_players_of(
    metadata: PolicyMetadata, siblings: Sequence[AgentSpec] = ()
) -> CoPlayers:
    """Return a policy's co-players in training.

    Parameters
    ----------
    metadata
        Metadata of the policy.
    siblings
        Specs of agents from the same run that play the other roles.
    """
    return CoPlayers(
        metadata.role,
        metadata.played_with,
        {agent: spec.id for spec in siblings for agent in spec.valid_agent_ids or []},
        endless_length_of(metadata),
    )


def make_actor(
    name: str, model: Any, agent: str, saved: Mapping[str, SavedPolicy]
) -> Actor:
    """Return a policy as a player of an agent.

    Parameters
    ----------
    name
        Id of a registered policy, or one of the names in `saved`.
    model
        POSGGym's model of the environment.
    agent
        The agent id to play.
    saved
        Saved policies by their names.
    """
    if name in saved:
        return convertible(saved[name]).reference_agent(model, agent)
    if name in posggym.agents.registry:
        ensure_model(posggym.agents.registry[name])
    actor: Actor = posggym.agents.make(name, model, agent)
    return actor


def player_of(
    policy_id: str, co_players: CoPlayers, render_mode: str | None = None
) -> Player:
    """Return a player with any registered policy, by its id."""
    spec = posggym.agents.registry[policy_id]
    episodes = posggym_episodes(
        spec.env_id, spec.env_args, render_mode, co_players.endless_length
    )
    return Player(
        episodes,
        co_players,
        lambda model, agent: make_actor(policy_id, model, agent, {}),
    )


@small_networks()
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
        Seed of the environment; those of the policies follow from it, see
        `policy_seed`.
    on_state
        Called with the environment after its reset and after each step.

    Returns
    -------
    returns : dict
        Return of each agent, keyed by agent id.
    steps : int
        Number of steps.
    """
    returns = dict.fromkeys(policies, 0.0)
    observations = episodes.reset(seed)
    env = episodes.env
    for place, agent in enumerate(env.possible_agents):
        policies[agent].reset(seed=policy_seed(seed, place))
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
    """Plays episodes with a policy and its co-players.

    Parameters
    ----------
    episodes
        The environment.
    co_players
        The policies that play the other agents.
    own
        Creates the policy, given a model of the environment and an agent id.
    """

    def __init__(
        self,
        episodes: PosggymEpisodes,
        co_players: CoPlayers,
        own: Callable[[Any, str], Actor],
    ) -> None:
        self._episodes, self._co_players, self._own = episodes, co_players, own
        self._agents = list(episodes.env.possible_agents)
        pool = partner_pool(self._agents, co_players.partners)
        self._saved = pool.saved
        self._candidates: dict[str, Candidates] = {
            **pool.candidates,
            **{agent: [name] for agent, name in co_players.siblings.items()},
        }
        self._made: dict[tuple[str | None, str], Actor] = {}

    def play(
        self, seed: int, on_state: Callable[[Any], None] | None = None
    ) -> tuple[float, int]:
        """Play the episode of a seed.

        Parameters
        ----------
        seed
            Seed of the episode.
        on_state
            Called with the environment after its reset and after each step.

        Returns
        -------
        mean_return : float
            The policy's return, averaged over the agents that it played.
        steps : int
            Length of the episode.
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
                self._made[key] = make_actor(policy_id, model, agent, self._saved)
        return self._made[key]
