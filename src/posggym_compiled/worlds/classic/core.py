"""The state that the classic worlds share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from posggym_compiled.interface import Integers
from posggym_compiled.random import python_random


class ClassicState(NamedTuple):
    """State of a classic world; the first dimension is the environments.

    Parameters
    ----------
    rng
        uint32 (n, 625): Python's random generators.
    hidden
        int64 (n, length): what agents do not see.
    seen
        int64 (n, agents, parts): the latest observations.
    """

    rng: npt.NDArray[np.uint32]
    hidden: Integers
    seen: Integers


def make_classic_state(
    num_envs: int, hidden: int, agents: int, parts: int
) -> ClassicState:
    """Return states with so many hidden numbers, agents, and parts of observations."""
    return ClassicState(
        rng=np.zeros((num_envs, python_random.SIZE), np.uint32),
        hidden=np.zeros((num_envs, hidden), np.int64),
        seen=np.zeros((num_envs, agents, parts), np.int64),
    )
