"""What heuristics of several environments share."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from posggym_compiled.interface import Integers, ObservationSpec, OneHot
from posggym_compiled.jit import lean_helper
from posggym_compiled.networks import Vector
from posggym_compiled.partners.kinds import Heuristic
from posggym_compiled.random import python_random


def numbered(entry: Any, module: ModuleType, prefix: str) -> Heuristic | None:
    """Return the heuristic of a policy class that is named by its number.

    Parameters
    ----------
    entry
        Entry point of the policy's spec.
    module
        Where POSGGym has the classes.
    prefix
        What stands before the number in their names.
    """
    name = getattr(entry, "__name__", "")
    number = name.removeprefix(prefix)
    if number.isdecimal() and getattr(module, name, None) is entry:
        return Heuristic(int(number))
    return None


def shifts_of(spec: ObservationSpec) -> Integers:
    """Return what is added to the numbers that `observe` writes, to have POSGGym's."""
    if isinstance(spec, OneHot):
        return np.asarray(spec.starts - spec.offsets, np.int64)
    return np.zeros(spec.length, np.int64)


@lean_helper
def part(x: Any, shifts: Integers, k: int) -> int:
    """Return number k of an observation as POSGGym's policies see it, an integer."""
    return np.int64(x[k]) + shifts[k]


@lean_helper
def equally(rng: Any, weights: Vector, n: int) -> int:
    """Draw from n actions as POSGGym's `DiscreteActionDistribution` of equal ones."""
    for i in range(n):
        weights[i] = 1.0 / n
    return python_random.choices(rng, weights, n)
