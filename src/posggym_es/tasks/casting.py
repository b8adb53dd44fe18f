"""Assigning learner and partners to the agents of an environment."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence

Candidates = Sequence[str] | Mapping[str, float]
"""Policies that may play an agent: a sequence takes turns, and a mapping to weights is
drawn from."""


_BITS = 2**64 - 1


def cast(
    agents: Sequence[str],
    seed: int,
    role: str | None,
    candidates: Mapping[str, Candidates],
) -> dict[str, str | None]:
    """Return who plays each agent in the episode of a seed.

    Parameters
    ----------
    agents
        Agent ids of the environment.
    seed
        Seed of the episode. With consecutive seeds, a learner without a role plays each
        agent in turn, and candidates without weights take turns. Candidates with
        weights are drawn by a hash of the seed.
    role
        The agent id that the learner plays. None for all agents, or with candidates for
        one agent, depending on the seed.
    candidates
        Policies that may play each agent, keyed by agent id.

    Returns
    -------
    dict
        The policy that plays each agent, keyed by agent id; None for the learner.

    Raises
    ------
    ValueError
        If neither the learner nor a candidate can play an agent.
    """
    if role is None and not candidates:
        return dict.fromkeys(agents)
    own = role if role is not None else agents[seed % len(agents)]
    parts: dict[str, str | None] = {own: None}
    for agent in agents:
        if agent != own:
            if not candidates.get(agent):
                raise ValueError(f"none of the given policies can play agent {agent!r}")
            parts[agent] = _choice(candidates[agent], seed, agents, agent)
    return {agent: parts[agent] for agent in agents}


def _choice(
    candidates: Candidates, seed: int, agents: Sequence[str], agent: str
) -> str:
    """Return the candidate that plays an agent in the episode of a seed."""
    if not isinstance(candidates, Mapping):
        return candidates[seed // len(agents) % len(candidates)]
    # Sorted, so that the result does not depend on the order of the mapping.
    names = sorted(candidates)
    bounds = list(itertools.accumulate(candidates[name] for name in names))
    drawn = bisect.bisect(bounds, _uniform(seed, agents.index(agent)) * bounds[-1])
    # The product may be rounded up to the last bound.
    return names[min(drawn, len(names) - 1)]


def _uniform(seed: int, place: int) -> float:
    """Return the number at index `place` of SplitMix64 with a seed, scaled to [0, 1).

    Source: Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014.
    """
    z = seed + (place + 1) * 0x9E3779B97F4A7C15 & _BITS
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _BITS
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _BITS
    return float((z ^ z >> 31) >> 11) / 2**53


def casts_before_repeating(
    agents: Sequence[str], candidates: Mapping[str, Candidates]
) -> int | None:
    """Return the period n of assignments over seeds, or None if they are not periodic.

    `cast(agents, seed, ...)` equals `cast(agents, seed % n, ...)`. Assignments are not
    periodic if candidates have weights.
    """
    if any(isinstance(each, Mapping) for each in candidates.values()):
        return None
    return len(agents) * math.lcm(*(len(each) for each in candidates.values() if each))
