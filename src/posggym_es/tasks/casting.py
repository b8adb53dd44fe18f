"""Assigning learner and partners to the agents of an environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from posggym_compiled.random.splitmix import splitmix64

Candidates = Sequence[str] | Mapping[str, float]
"""Policies that may play an agent: a sequence takes turns, and a mapping to weights is
drawn from."""

Seeds = npt.NDArray[np.uint64]


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
    names = list(dict.fromkeys(name for each in candidates.values() for name in each))
    seeds = np.array([seed], np.uint64)
    players: list[str | None] = [None, *names]
    (numbers,) = casts(agents, seeds, role, candidates, names)
    return {agent: players[n] for agent, n in zip(agents, numbers, strict=True)}


def casts(
    agents: Sequence[str],
    seeds: Seeds,
    role: str | None,
    candidates: Mapping[str, Candidates],
    names: Sequence[str],
) -> npt.NDArray[np.int64]:
    """Return who plays each agent in the episodes of many seeds, see `cast`.

    Parameters
    ----------
    agents, role, candidates
        See `cast`.
    seeds
        Seeds of the episodes, of any shape.
    names
        All candidates.

    Returns
    -------
    ndarray
        Shape (*seeds.shape, agents): 0 for the learner, or 1 + an index in `names`.

    Raises
    ------
    ValueError
        See `cast`.
    """
    numbers = np.zeros((*seeds.shape, len(agents)), np.int64)
    if role is None and not candidates:
        return numbers
    own = np.asarray(seeds % len(agents) if role is None else agents.index(role))
    for place, agent in enumerate(agents):
        if (own == place).all():
            continue
        if not candidates.get(agent):
            raise ValueError(f"none of the given policies can play agent {agent!r}")
        order, chosen = _choices(candidates[agent], seeds, len(agents), place)
        known = np.array([1 + names.index(name) for name in order])
        numbers[..., place] = np.where(own == place, 0, known[chosen])
    return numbers


def _choices(
    candidates: Candidates, seeds: Seeds, num_agents: int, place: int
) -> tuple[list[str], npt.NDArray[np.integer]]:
    """Return candidates, and the index of the chosen one for each seed."""
    if not isinstance(candidates, Mapping):
        return list(candidates), seeds // num_agents % len(candidates)
    # Sorted, so that the result does not depend on the order of the mapping.
    names = sorted(candidates)
    bounds = np.cumsum([float(candidates[name]) for name in names])
    drawn = np.searchsorted(bounds, _uniform(seeds, place) * bounds[-1], side="right")
    # The product may be rounded up to the last bound.
    return names, np.minimum(drawn, len(names) - 1)


def _uniform(seeds: Seeds, place: int) -> npt.NDArray[np.float64]:
    """Return the number at index `place` of SplitMix64 for seeds, scaled to [0, 1)."""
    words = splitmix64(seeds, np.full_like(seeds, place))
    return (words >> np.uint64(11)).astype(np.float64) / 2**53
