"""Verification that a registered agent loads by its id and plays as it was trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import posggym
import posggym.agents

from pgpelib.policies.metadata import Reference
from pgpelib.policies.partners import is_saved, relative
from posggym_es.evaluation.playing import CoPlayers, Player
from posggym_es.models.posggym_model_file import read_model_file
from posggym_es.registration.environments import posggym_episodes
from posggym_es.registration.spec import AgentSpec
from posggym_es.tasks.family import RANDOM_POLICY
from posggym_es.utils.return_statistics import welch_margin

# A correct agent fails by chance in one of a thousand verifications.
CONFIDENCE = 0.999
# Returns without any variance can still differ by rounding.
RELATIVE_TOLERANCE = 1e-6
# Maximum number of episodes with random actions, which are only there to compare with.
RANDOM_EPISODES = 100

# Keys in reports that differ from the names of fields.
_KEYS = {"co_players": "company"}


class VerificationError(RuntimeError):
    """Verification failed; the message has the agent's id and the figures."""


@dataclasses.dataclass(frozen=True)
class Verification:
    """Comparison of a registered agent's returns with those of the trained policy.

    Parameters
    ----------
    policy_id
        Id of the agent.
    returns, reference_returns
        Returns of full episodes, of the registered agent and of the trained policy.
    random_returns
        Returns of the first of these episodes with random actions instead of its own.
    lengths
        Lengths of the registered agent's episodes in steps.
    seeds
        Seeds of the registered agent's episodes.
    co_players
        The policies that played the other agents.
    """

    policy_id: str
    returns: list[float]
    reference_returns: list[float]
    random_returns: list[float]
    lengths: list[int]
    seeds: list[int]
    co_players: CoPlayers

    @property
    def difference(self) -> float:
        """Mean return minus that of the trained policy."""
        return float(np.mean(self.returns) - np.mean(self.reference_returns))

    @property
    def allowed(self) -> float:
        """Largest difference that chance can explain (Welch's interval)."""
        means = np.abs([np.mean(self.returns), np.mean(self.reference_returns)])
        rounding = RELATIVE_TOLERANCE * max(float(means.max()), 1.0)
        # The margin is 0 for a single episode: only the same return is accepted.
        chance = welch_margin(self.returns, self.reference_returns, CONFIDENCE)
        return float(chance + rounding)

    @property
    def passed(self) -> bool:
        """Whether the difference can be explained by chance."""
        return abs(self.difference) <= self.allowed

    def to_json(self) -> dict[str, Any]:
        """Return plain data for the report, with saved partners as in policy files."""
        fields = dataclasses.asdict(self)
        fields["co_players"]["partners"] = relative(self.co_players.partners)
        return {
            **{_KEYS.get(name, name): value for name, value in fields.items()},
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


def registered_player(
    spec: AgentSpec, co_players: CoPlayers, render_mode: str | None = None
) -> Player:
    """Return a player with a registered agent and its co-players from training.

    Raises
    ------
    ValueError
        If the policy file is not the one whose conversion was proved, or
        not a policy file. This is checked because POSGGym executes code in such files.
    VerificationError
        If the agent or one of its co-players is not registered.
    """
    registered = [name for name in co_players.partners if not is_saved(name)]
    for policy_id in (spec.id, *registered, *co_players.siblings.values()):
        if policy_id not in posggym.agents.registry:
            raise VerificationError(
                f"{policy_id}: not registered in {posggym.__file__}"
            )
    file = Path(posggym.agents.registry[spec.id].kwargs["policy_file_path"])
    spec.policy_bytes(file)
    read_model_file(file)
    return _player(spec, spec.id, co_players, render_mode)


def random_player(spec: AgentSpec, co_players: CoPlayers) -> Player:
    """Return a player like `registered_player`, with random actions for the agent's."""
    return _player(spec, RANDOM_POLICY, co_players)


def _player(
    spec: AgentSpec,
    policy_id: str,
    co_players: CoPlayers,
    render_mode: str | None = None,
) -> Player:
    """Return a player with a registered policy in the place of an agent."""
    return Player(
        posggym_episodes(
            spec.env_id, spec.env_args, render_mode, co_players.endless_length
        ),
        co_players,
        lambda model, agent: posggym.agents.make(policy_id, model, agent),
    )


def play_verified_episode(spec: AgentSpec, co_players: CoPlayers, seed: int) -> float:
    """Play an episode as in `verify`, and return the agent's (mean) return."""
    return registered_player(spec, co_players).play(seed)[0]


def verify(
    spec: AgentSpec,
    reference: Reference,
    co_players: CoPlayers | None = None,
    on_episode: Callable[[int, float], None] | None = None,
) -> Verification:
    """Create a registered agent by its id, and play full episodes with it.

    The policy plays the same agents of its environment as in training. Call this in a
    process that has imported the posggym tree to be verified.

    Parameters
    ----------
    spec
        The agent.
    reference
        The trained policy's episodes, whose seeds are used.
    co_players
        The policies that play the other agents; by default, the agent plays all.
    on_episode
        Called after each episode with the number of episodes so far and the last
        return.

    Raises
    ------
    VerificationError
        If the id is not registered, replaying the first episode gives a different
        return, or the mean return differs by more than chance can explain.
    """
    co_players = co_players or CoPlayers()
    player = registered_player(spec, co_players)
    returns, lengths = [], []
    for seed in reference.seeds:
        episode, steps = player.play(seed)
        returns.append(episode)
        lengths.append(steps)
        if on_episode is not None:
            on_episode(len(returns), episode)
    again, _ = player.play(reference.seeds[0])
    if again != returns[0]:
        raise VerificationError(
            f"{spec.id}: two episodes with seed {reference.seeds[0]} returned "
            f"{returns[0]} and {again}; the agent is not deterministic"
        )
    random = random_player(spec, co_players)
    random_returns = [random.play(s)[0] for s in reference.seeds[:RANDOM_EPISODES]]
    result = Verification(
        spec.id,
        returns,
        reference.returns,
        random_returns,
        lengths,
        reference.seeds,
        co_players,
    )
    if not result.passed:
        raise VerificationError(f"verification failed: {result}")
    return result
