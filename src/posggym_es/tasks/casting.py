"""Who plays which agent of an environment with several agents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


def cast(
    agents: Sequence[str],
    seed: int,
    role: str | None,
    candidates: Mapping[str, Sequence[str]],
) -> dict[str, str | None]:
    """Return who plays each agent id in the episode of a seed.

    Parameters
    ----------
    agents
        Agent ids of the environment.
    seed
        Seed of the episode. Episodes take the candidates, and the learner's place where
        it has no role, in turn with their seeds.
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
            choice = seed // len(agents) % len(candidates[agent])
            parts[agent] = candidates[agent][choice]
    return {agent: parts[agent] for agent in agents}


def casts_before_repeating(
    agents: Sequence[str], candidates: Mapping[str, Sequence[str]]
) -> int:
    """Return how many seeds, from 0 on, have casts that the other seeds repeat.

    `cast(agents, seed, ...)` is `cast(agents, seed % n, ...)` for this number n.
    """
    return len(agents) * math.lcm(*(len(each) for each in candidates.values() if each))
