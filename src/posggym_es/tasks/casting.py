"""Who plays which agent of an environment with several agents."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence

Candidates = Sequence[str] | Mapping[str, float]
"""Policies that may play an agent: they take turns, or are drawn by their weights."""


_BITS = 2**64 - 1


def cast(
    agents: Sequence[str],
    seed: int,
    role: str | None,
    candidates: Mapping[str, Candidates],
) -> dict[str, str | None]:
    """Return who plays each agent id in the episode of a seed.

    Parameters
    ----------
    agents
        Agent ids of the environment.
    seed
        Seed of the episode. Episodes take the learner's place where it has no role, and
        candidates without weights, in turn with their seeds. Those with weights are
        drawn by a hash of the seed.
    role
        The agent id that the learner plays. None for all of them or, where there are
        candidates, for one that changes with the seed.
    candidates
        Policies that may play each of the other agent ids.

    Returns
    -------
    dict
        A candidate for each agent id; None for the learner.

    Raises
    ------
    ValueError
        If an agent id has neither a candidate nor the learner.
    """
    if role is None and not candidates:
        return dict.fromkeys(agents)
    own = role if role is not None else agents[seed % len(agents)]
    parts: dict[str, str | None] = {own: None}
    for agent in agents:
        if agent != own:
            if not candidates.get(agent):
                raise ValueError(f"no policy is given that can play agent {agent!r}")
            parts[agent] = _choice(candidates[agent], seed, agents, agent)
    return {agent: parts[agent] for agent in agents}


def _choice(
    candidates: Candidates, seed: int, agents: Sequence[str], agent: str
) -> str:
    """Return who of the candidates for an agent plays in the episode of a seed."""
    if not isinstance(candidates, Mapping):
        return candidates[seed // len(agents) % len(candidates)]
    # A mapping is the same one in any order.
    names = sorted(candidates)
    bounds = list(itertools.accumulate(candidates[name] for name in names))
    drawn = bisect.bisect(bounds, _uniform(seed, agents.index(agent)) * bounds[-1])
    # The product may be rounded up to the last bound.
    return names[min(drawn, len(names) - 1)]


def _uniform(seed: int, place: int) -> float:
    """Return number `place` of SplitMix64 with a seed, scaled to [0, 1).

    Source: Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014.
    """
    z = seed + (place + 1) * 0x9E3779B97F4A7C15 & _BITS
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _BITS
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _BITS
    return float((z ^ z >> 31) >> 11) / 2**53


def casts_before_repeating(
    agents: Sequence[str], candidates: Mapping[str, Candidates]
) -> int | None:
    """Return how many seeds, from 0 on, have casts that the other seeds repeat.

    `cast(agents, seed, ...)` is `cast(agents, seed % n, ...)` for this number n. None
    if there is no such number, because candidates are drawn.
    """
    if any(isinstance(each, Mapping) for each in candidates.values()):
        return None
    return len(agents) * math.lcm(*(len(each) for each in candidates.values() if each))
