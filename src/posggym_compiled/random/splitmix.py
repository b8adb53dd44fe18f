"""SplitMix64, for independent numbers that follow from a seed and an index.

Source: Steele et al., "Fast Splittable Pseudorandom Number Generators" (2014).
"""

from __future__ import annotations

from typing import Any

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def splitmix64(seed: Any, index: Any) -> Any:
    """Return one number of the sequence that starts with a seed.

    Works in compiled code with numbers, and in NumPy with arrays.

    Parameters
    ----------
    seed, index
        uint64.

    Returns
    -------
    uint64
        Number `index` of the sequence, counted from 0.
    """
    z = seed + (index + np.uint64(1)) * _GAMMA
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    return z ^ (z >> np.uint64(31))


def policy_seed(seed: int, place: int) -> int:
    """Return the seed of the policy that plays an agent.

    The policies of an episode get seeds of their own, so that they do not draw the same
    random numbers as each other or as the environment.

    Parameters
    ----------
    seed
        Seed of the episode, 0 <= seed < 2**64.
    place
        Index of the agent in the environment's `possible_agents`.

    Returns
    -------
    int
        Number `place` of SplitMix64, below 2**64.
    """
    return int(splitmix64(np.array([seed], np.uint64), np.array([place], np.uint64))[0])
