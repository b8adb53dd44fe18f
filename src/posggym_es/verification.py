"""Proof that a registered agent loads by its id and plays as well as it was trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import posggym
import posggym.agents
from scipy import stats

from pgpelib.tasks.casting import cast
from pgpelib.tasks.posggym_task import PosggymEpisodes, partner_candidates
from posggym_es.environments import make_episodes
from posggym_es.spec import AgentSpec

# A correct agent fails by chance once in a thousand verifications.
CONFIDENCE = 0.999
# Two deterministic environments without any spread still differ by rounding.
RELATIVE_TOLERANCE = 1e-6


class VerificationError(RuntimeError):
    """A registered agent that does not do what it should; names id and figures."""


@dataclasses.dataclass(frozen=True)
class Company:
    """Who played with a policy in training, by their registered ids.

    Parameters
    ----------
    role
        The agent id that the policy played; None for all.
    partners
        Policies of a best response's population.
    siblings
        Policies of the other agent ids that were trained together with this one.
    """

    role: str | None = None
    partners: list[str] = dataclasses.field(default_factory=list)
    siblings: dict[str, str] = dataclasses.field(default_factory=dict)


def company_of(notes: dict[str, Any], siblings: Sequence[AgentSpec]) -> Company:
    """Return a trained policy's company.

    Parameters
    ----------
    notes
        Notes of the policy.
    siblings
        Specs of the agents of the same run that play the other roles.
    """
    config = notes.get("config") or {}
    return Company(
        notes.get("role"),
        list(config.get("partners", [])),
        {agent: spec.id for spec in siblings for agent in spec.valid_agent_ids or []},
    )


@dataclasses.dataclass(frozen=True)
class Verification:
    """Returns of a registered agent beside those of the trained policy.

    Parameters
    ----------
    policy_id
        The id that the agent was made by.
    returns, reference_returns
        Returns of full episodes: registered agent, and trained policy.
    lengths
        Steps of the registered agent's episodes.
    seeds
        Seeds of the registered agent's episodes.
    company
        Who played the other agents.
    """

    policy_id: str
    returns: list[float]
    reference_returns: list[float]
    lengths: list[int]
    seeds: list[int]
    company: Company

    @property
    def difference(self) -> float:
        """Mean return less the reference's."""
        return float(np.mean(self.returns) - np.mean(self.reference_returns))

    @property
    def allowed(self) -> float:
        """Largest difference that chance explains (Welch's interval at CONFIDENCE)."""
        a, b = np.asarray(self.returns), np.asarray(self.reference_returns)
        rounding = RELATIVE_TOLERANCE * max(abs(a.mean()), abs(b.mean()), 1.0)
        if min(len(a), len(b)) < 2:
            # One episode has no spread to compare with: only the same return will do.
            return float(rounding)
        shares = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
        variance = sum(shares)
        if variance == 0.0:
            return float(rounding)
        freedom = variance**2 / (
            shares[0] ** 2 / (len(a) - 1) + shares[1] ** 2 / (len(b) - 1)
        )
        quantile = stats.t.ppf((1 + CONFIDENCE) / 2, freedom)
        return float(quantile * np.sqrt(variance) + rounding)

    @property
    def passed(self) -> bool:
        """Whether the agent plays as well as the trained policy."""
        return abs(self.difference) <= self.allowed

    def to_json(self) -> dict[str, Any]:
        """Return plain data for the report."""
        return {
            **dataclasses.asdict(self),
            "mean_return": float(np.mean(self.returns)),
            "reference_mean_return": float(np.mean(self.reference_returns)),
            "difference": self.difference,
            "allowed_difference": self.allowed,
            "confidence": CONFIDENCE,
            "passed": self.passed,
        }

    def __str__(self) -> str:
        return (
            f"{self.policy_id}: mean return {np.mean(self.returns):.3f} over "
            f"{len(self.returns)} episodes, trained policy "
            f"{np.mean(self.reference_returns):.3f} over "
            f"{len(self.reference_returns)}; difference {self.difference:+.3f}, "
            f"allowed {self.allowed:.3f}"
        )


def play_episode(
    episodes: PosggymEpisodes,
    policies: dict[str, posggym.agents.Policy[Any, Any]],
    seed: int,
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
    while not done:
        actions = {i: policies[i].step(observations[i]) for i in env.agents}
        observations, rewards, _, _, done, _ = env.step(actions)
        for i, reward in rewards.items():
            returns[i] += float(reward)
        steps += 1
    return returns, steps


class _Player:
    """A registered agent in its seats of the environment, as in training."""

    def __init__(self, spec: AgentSpec, company: Company) -> None:
        self._spec, self._company = spec, company
        for policy_id in (spec.id, *company.partners, *company.siblings.values()):
            if policy_id not in posggym.agents.registry:
                raise VerificationError(
                    f"{policy_id}: not registered in {posggym.__file__}"
                )
        self._episodes = make_episodes(spec.env_id, spec.env_args)
        self._agents = list(self._episodes.env.possible_agents)
        self._candidates = partner_candidates(self._agents, company.partners) | {
            agent: [policy_id] for agent, policy_id in company.siblings.items()
        }
        self._made: dict[tuple[str, str], posggym.agents.Policy[Any, Any]] = {}

    def play(self, seed: int) -> tuple[float, int]:
        parts = cast(self._agents, seed, self._company.role, self._candidates)
        policies = {
            agent: self._policy(part or self._spec.id, agent)
            for agent, part in parts.items()
        }
        returns, steps = play_episode(self._episodes, policies, seed)
        own = [returns[agent] for agent, part in parts.items() if part is None]
        return float(np.mean(own)), steps

    def _policy(self, policy_id: str, agent: str) -> posggym.agents.Policy[Any, Any]:
        key = policy_id, agent
        if key not in self._made:
            model = self._episodes.env.model
            self._made[key] = posggym.agents.make(policy_id, model, agent)
        return self._made[key]


def play_verified_episode(spec: AgentSpec, company: Company, seed: int) -> float:
    """Return the (mean) return of one episode, played as `verify` plays."""
    return _Player(spec, company).play(seed)[0]


def verify(
    spec: AgentSpec,
    reference: dict[str, list[Any]],
    company: Company | None = None,
    on_episode: Callable[[int, float], None] | None = None,
) -> Verification:
    """Make a registered agent by its id and play full episodes with it.

    The agent plays the agents of its environment that it played in training. Call this
    in a process that imported the posggym tree to be verified.

    Parameters
    ----------
    spec
        The agent.
    reference
        `returns` and `seeds` of the trained policy's episodes; the agent plays as many
        episodes, with the same seeds.
    company
        Who plays the other agents; by default the agent plays all.
    on_episode
        Called after each episode with their number so far and the last return.

    Raises
    ------
    VerificationError
        If the id is not registered, the spec differs, the first episode played twice
        gives two returns, or the mean return differs by more than chance explains.
    """
    company = company or Company()
    player = _Player(spec, company)
    returns, lengths = [], []
    for seed in reference["seeds"]:
        episode, steps = player.play(seed)
        returns.append(episode)
        lengths.append(steps)
        if on_episode is not None:
            on_episode(len(returns), episode)
    again, _ = player.play(reference["seeds"][0])
    if again != returns[0]:
        raise VerificationError(
            f"{spec.id}: two episodes with seed {reference['seeds'][0]} returned "
            f"{returns[0]} and {again}; the agent is not deterministic"
        )
    result = Verification(
        spec.id, returns, reference["returns"], lengths, reference["seeds"], company
    )
    if not result.passed:
        raise VerificationError(f"verification failed: {result}")
    return result
