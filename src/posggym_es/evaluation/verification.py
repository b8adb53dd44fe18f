"""Proof that a registered agent loads by its id and plays as well as it was trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import posggym
import posggym.agents
import posggym.config

from pgpelib.policies.metadata import Reference
from posggym_es.evaluation.playing import CoPlayers, Player
from posggym_es.models.posggym_model_file import read_model_file
from posggym_es.registration.environments import posggym_episodes
from posggym_es.registration.spec import AgentSpec
from posggym_es.utils.return_statistics import welch_margin
from posggym_es.utils.schema_check import read_as, refuse_mistakes

# A correct agent fails by chance once in a thousand verifications.
CONFIDENCE = 0.999
# Two deterministic environments without any spread still differ by rounding.
RELATIVE_TOLERANCE = 1e-6
_NUMBERS = {"type": "array", "minItems": 1, "items": {"type": "number"}}
_WHOLE_NUMBERS = {"type": "array", "minItems": 1, "items": {"type": "integer"}}
# What others read of a report.
_SCHEMA = {
    "type": "object",
    "required": ["returns", "lengths", "seeds", "company"],
    "properties": {
        "returns": _NUMBERS,
        "lengths": _WHOLE_NUMBERS,
        "seeds": _WHOLE_NUMBERS,
        "company": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "role": {"type": ["string", "null"]},
                "partners": {
                    "anyOf": [
                        {"type": "array", "items": {"type": "string"}},
                        {"type": "object", "additionalProperties": {"type": "number"}},
                    ]
                },
                "siblings": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                },
                "endless_length": {"type": "integer", "minimum": 1},
            },
        },
    },
}


# Names in reports, where they are not those of the fields.
_KEYS = {"co_players": "company"}


class VerificationError(RuntimeError):
    """A registered agent that does not do what it should; names id and figures."""


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
    co_players
        Who played the other agents.
    """

    policy_id: str
    returns: list[float]
    reference_returns: list[float]
    lengths: list[int]
    seeds: list[int]
    co_players: CoPlayers

    @property
    def difference(self) -> float:
        """Mean return less the reference's."""
        return float(np.mean(self.returns) - np.mean(self.reference_returns))

    @property
    def allowed(self) -> float:
        """Largest difference that chance explains (Welch's interval at CONFIDENCE)."""
        means = np.abs([np.mean(self.returns), np.mean(self.reference_returns)])
        rounding = RELATIVE_TOLERANCE * max(float(means.max()), 1.0)
        # One episode has no spread to compare with: only the same return will do.
        chance = welch_margin(self.returns, self.reference_returns, CONFIDENCE)
        return float(chance + rounding)

    @property
    def passed(self) -> bool:
        """Whether the agent plays as well as the trained policy."""
        return abs(self.difference) <= self.allowed

    def to_json(self) -> dict[str, Any]:
        """Return plain data for the report."""
        fields = dataclasses.asdict(self)
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
    """Return a registered agent in its seats of the environment, as in training.

    Raises
    ------
    ValueError
        If what the tree has as its policy file is not what was proved, or none at all:
        POSGGym would execute it.
    VerificationError
        If the agent or one of its co-players is not registered.
    """
    for policy_id in (spec.id, *co_players.partners, *co_players.siblings.values()):
        if policy_id not in posggym.agents.registry:
            raise VerificationError(
                f"{policy_id}: not registered in {posggym.__file__}"
            )
    file = posggym.config.AGENT_MODEL_DIR / spec.asset
    spec.policy_bytes(file)
    read_model_file(file)
    return Player(
        posggym_episodes(
            spec.env_id, spec.env_args, render_mode, co_players.endless_length
        ),
        co_players,
        lambda model, agent: posggym.agents.make(spec.id, model, agent),
    )


def read_verification(path: Path) -> dict[str, Any]:
    """Return what `Verification.to_json` wrote.

    Raises
    ------
    ValueError
        If the file is not the report of a verification; the message names it.
    """

    def parse(data: Any) -> dict[str, Any]:
        refuse_mistakes(data, _SCHEMA)
        return dict(data)

    return read_as(path, "no report of a verification", parse)


def play_verified_episode(spec: AgentSpec, co_players: CoPlayers, seed: int) -> float:
    """Return the (mean) return of one episode, played as `verify` plays."""
    return registered_player(spec, co_players).play(seed)[0]


def verify(
    spec: AgentSpec,
    reference: Reference,
    co_players: CoPlayers | None = None,
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
        The trained policy's episodes; the agent plays as many, with the same seeds.
    co_players
        Who plays the other agents; by default the agent plays all.
    on_episode
        Called after each episode with their number so far and the last return.

    Raises
    ------
    VerificationError
        If the id is not registered, the spec differs, the first episode played twice
        gives two returns, or the mean return differs by more than chance explains.
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
    result = Verification(
        spec.id, returns, reference.returns, lengths, reference.seeds, co_players
    )
    if not result.passed:
        raise VerificationError(f"verification failed: {result}")
    return result
