"""Python's `random.Random`, bit for bit.

A generator is a uint32 array of 625 numbers: the 624 words of a Mersenne Twister
(MT19937) and the position of the next one. CPython renews all words when they are used
up. Here each word is renewed when it is drawn, which gives the same numbers and costs
short episodes nothing for words that they do not draw.

Sources: Matsumoto and Nishimura, "Mersenne Twister" (1998); CPython's `_randommodule.c`
and `random.py` for how seeds and draws use it.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import overload

from posggym_compiled.jit import LEAN, lean_helper

Words = npt.NDArray[np.uint32]

SIZE = 625
NUM_WORDS = 624
FIRST_FACTOR, SECOND_FACTOR = 1664525, 1566083941
_N = NUM_WORDS
_M = 397
_MASK = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)


def _initial_words() -> Words:
    """Return MT19937's state for the fixed seed from which keys are mixed in."""
    words = [19650218]
    for i in range(1, _N):
        words.append((1812433253 * (words[-1] ^ (words[-1] >> 30)) + i) % 2**32)
    return np.array(words, np.uint32)


INITIAL = _initial_words()


@lean_helper
def key_words(seed: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return what is added at even and at odd steps of mixing a seed in.

    A key of one word is mixed in again and again, two words take turns; the second of a
    key has 1 added.
    """
    low = np.uint64(seed) & _MASK
    high = np.uint64(seed) >> np.uint64(32)
    return low, high + _ONE if high else low


@lean_helper
def _mix(word: np.uint64, previous: np.uint64, factor: np.uint64) -> np.uint64:
    return word ^ ((previous ^ (previous >> np.uint64(30))) * factor)


def seed_random(rng: Words, value: Any) -> None:
    """Seed a generator.

    Parameters
    ----------
    rng
        The generator, written.
    value
        Seed, 0 <= value < 2**64, that is used as `random.Random(value)` does; or a
        generator, which is copied.
    """
    raise NotImplementedError("compiled code only")


@overload(seed_random, strict=False, jit_options=LEAN)
def _seed_kind(rng: Any, value: Any) -> Any:
    return _copy if isinstance(value, numba.types.Array) else _seed


def _copy(rng: Words, value: Words) -> None:
    for i in range(SIZE):
        rng[i] = value[i]


def _seed(rng: Words, value: np.uint64) -> None:
    first, second = np.uint64(FIRST_FACTOR), np.uint64(SECOND_FACTOR)
    even, odd = key_words(value)
    previous = np.uint64(INITIAL[0])
    # The first step is number 0 and makes word 1.
    for i in range(1, _N):
        key = even if i & 1 else odd
        word = _mix(np.uint64(INITIAL[i]), previous, first) + key
        previous = word & _MASK
        rng[i] = np.uint32(previous)
    # Word 0 takes the value of the last, so the next of word 1 is the last one.
    word = _mix(np.uint64(rng[1]), previous, first) + odd
    previous = word & _MASK
    rng[1] = np.uint32(previous)
    for i in range(2, _N):
        word = _mix(np.uint64(rng[i]), previous, second)
        previous = (word - np.uint64(i)) & _MASK
        rng[i] = np.uint32(previous)
    word = _mix(np.uint64(rng[1]), previous, second)
    rng[1] = np.uint32((word - _ONE) & _MASK)
    rng[0] = np.uint32(0x80000000)
    rng[_N] = np.uint32(0)


@lean_helper
def next_word(rng: Words) -> np.uint64:
    """Draw 32 random bits."""
    i = np.int64(rng[_N])
    after = i + 1 if i < _N - 1 else 0
    far = i + _M if i < _N - _M else i + _M - _N
    y = (np.uint64(rng[i]) & np.uint64(0x80000000)) | (
        np.uint64(rng[after]) & np.uint64(0x7FFFFFFF)
    )
    word = np.uint64(rng[far]) ^ (y >> _ONE)
    if y & _ONE:
        word ^= np.uint64(0x9908B0DF)
    rng[i] = np.uint32(word)
    rng[_N] = np.uint32(after)
    word ^= word >> np.uint64(11)
    word ^= (word << np.uint64(7)) & np.uint64(0x9D2C5680)
    word ^= (word << np.uint64(15)) & np.uint64(0xEFC60000)
    return word ^ (word >> np.uint64(18))


@lean_helper
def random(rng: Words) -> float:
    """Draw a float in [0, 1), as `Random.random()`."""
    a = next_word(rng) >> np.uint64(5)
    b = next_word(rng) >> np.uint64(6)
    return float((a * np.float64(67108864.0) + b) * (1.0 / 9007199254740992.0))


@lean_helper
def uniform(rng: Words, low: float, high: float) -> float:
    """Draw a float, as `Random.uniform(low, high)`."""
    return low + (high - low) * random(rng)


@lean_helper
def randbelow(rng: Words, n: int) -> int:
    """Draw an integer in [0, n), 0 < n < 2**32, as `Random.choice` and others do.

    `choice(sequence)` is the element of this number for `n = len(sequence)`.
    """
    shift = np.uint64(32)
    rest = n
    while rest:
        rest >>= 1
        shift -= _ONE
    value = np.int64(next_word(rng) >> shift)
    while value >= n:
        value = np.int64(next_word(rng) >> shift)
    return int(value)


@lean_helper
def randint(rng: Words, low: int, high: int) -> int:
    """Draw an integer in [low, high], as `Random.randint(low, high)`."""
    return low + randbelow(rng, high - low + 1)


@lean_helper
def shuffle(rng: Words, values: npt.NDArray[np.int64]) -> None:
    """Shuffle an array, as `Random.shuffle` does a list."""
    for i in range(len(values) - 1, 0, -1):
        j = randbelow(rng, i + 1)
        values[i], values[j] = values[j], values[i]


@lean_helper
def choices(rng: Words, weights: npt.NDArray[np.float64], n: int) -> int:
    """Draw the number of one of the first n weights, as `Random.choices` does."""
    total = 0.0
    for i in range(n):
        total += weights[i]
    draw = random(rng) * total
    sum_so_far = 0.0
    for i in range(n - 1):
        sum_so_far += weights[i]
        if draw < sum_so_far:
            return i
    return n - 1
