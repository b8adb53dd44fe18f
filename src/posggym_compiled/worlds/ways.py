"""Where vehicles start and go, in both Driving environments."""

from __future__ import annotations

from typing import Any

from posggym_compiled.interface import Integers
from posggym_compiled.jit import lean_helper
from posggym_compiled.random import python_random, python_sets

# Sets that `draw_way` needs of an environment: starts and destinations drawn so far,
# what is left, and its list.
NUM_SETS = 4


@lean_helper
def clear_ways(sets: Integers) -> None:
    """Forget the ways of the vehicles before."""
    python_sets.clear(sets[0])
    python_sets.clear(sets[1])


@lean_helper
def draw_way(
    rng: Any, hashes: Integers, starts: Integers, dests: Integers, sets: Integers
) -> tuple[int, int]:
    """Draw start and destination of a vehicle, apart from those drawn before.

    Parameters
    ----------
    rng
        Python's random generator.
    hashes
        Python's hashes of all places.
    starts, dests
        Where the vehicle may start and go, as Python sets.
    sets
        Shape (NUM_SETS, length): of the environment.
    """
    chosen_starts, chosen_dests, options, listed = sets[0], sets[1], sets[2], sets[3]
    python_sets.difference(starts, hashes, chosen_starts, options)
    start = _draw(rng, options, listed)
    python_sets.add(chosen_starts, hashes, start)
    python_sets.difference(dests, hashes, chosen_dests, options)
    python_sets.discard(options, hashes, start)
    dest = _draw(rng, options, listed)
    python_sets.add(chosen_dests, hashes, dest)
    return start, dest


@lean_helper
def _draw(rng: Any, options: Integers, out: Integers) -> int:
    """Draw from the elements of a set, as `choice(list(options))`."""
    count = python_sets.elements(options, out)
    return out[python_random.randbelow(rng, count)]
