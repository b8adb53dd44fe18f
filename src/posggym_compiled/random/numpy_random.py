"""NumPy's `default_rng`, bit for bit: `Generator(PCG64(SeedSequence(seed)))`.

A generator is a uint64 array of 6 numbers: state and increment of PCG64 (two halves
each, the upper one first), whether half of a drawn word is left, and that half.

Sources: O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good
Algorithms for Random Number Generation" (2014); NumPy's documentation of `SeedSequence`
and its `random` sources for how draws use the words.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

# NumPy's tables of the ziggurat, which Numba has for its own generators.
from numba.np.random._constants import fi_double, ki_double, wi_double

from posggym_compiled.jit import lean_helper

Words = npt.NDArray[np.uint64]

SIZE = 6
_STATE_HIGH, _STATE_LOW, _INC_HIGH, _INC_LOW, _HAS_HALF, _HALF = range(SIZE)
_MASK = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(1)
_32 = np.uint64(32)
_MULTIPLIER_HIGH = np.uint64(0x2360ED051FC65DA4)
_MULTIPLIER_LOW = np.uint64(0x4385DF649FCCF645)

_POOL = 4
# What the ziggurat's lowest layer goes over to the tail at, and its inverse.
_TAIL = 3.6541528853610087963519472518
_TAIL_INVERSE = 0.27366123732975827203338247596


@lean_helper
def _hashed(value: np.uint64, constant: np.uint64, factor: np.uint64) -> np.uint64:
    """Mix 32 bits with a constant that is about to be multiplied by a factor."""
    value = ((value ^ constant) * ((constant * factor) & _MASK)) & _MASK
    return value ^ (value >> np.uint64(16))


@lean_helper
def seed_numpy(rng: Words, value: np.uint64) -> None:
    """Seed a generator as `np.random.default_rng(value)` does, 0 <= value < 2**64.

    Parameters
    ----------
    rng
        uint64 (6,), written.
    value
        The seed.
    """
    # The pool of SeedSequence: 4 numbers of 32 bits, in the array that has room.
    factor = np.uint64(0x931E8875)
    constant = np.uint64(0x43B0D7E5)
    for i in range(_POOL):
        word = np.uint64(0)
        if i == 0:
            word = np.uint64(value) & _MASK
        elif i == 1:
            word = np.uint64(value) >> _32
        rng[i] = _hashed(word, constant, factor)
        constant = (constant * factor) & _MASK
    for source in range(_POOL):
        for target in range(_POOL):
            if source != target:
                mixed = np.uint64(0xCA01F9DD) * rng[target] - np.uint64(
                    0x4973F715
                ) * _hashed(rng[source], constant, factor)
                mixed &= _MASK
                rng[target] = mixed ^ (mixed >> np.uint64(16))
                constant = (constant * factor) & _MASK
    factor = np.uint64(0x58F38DED)
    constant = np.uint64(0x8B51F9DD)
    one, two, three, four = rng[0], rng[1], rng[2], rng[3]
    for i in range(_POOL):
        first, second = (one, two) if i % 2 == 0 else (three, four)
        low = _hashed(first, constant, factor)
        constant = (constant * factor) & _MASK
        high = _hashed(second, constant, factor)
        constant = (constant * factor) & _MASK
        rng[i] = low | (high << _32)
    initial_high, initial_low = rng[0], rng[1]
    increment_high = (rng[2] << _ONE) | (rng[3] >> np.uint64(63))
    rng[_INC_LOW] = (rng[3] << _ONE) | _ONE
    rng[_INC_HIGH] = increment_high
    # The first step from 0 leaves the increment.
    low = rng[_INC_LOW] + initial_low
    carry = _ONE if low < initial_low else np.uint64(0)
    rng[_STATE_HIGH] = increment_high + initial_high + carry
    rng[_STATE_LOW] = low
    rng[_HAS_HALF] = np.uint64(0)
    rng[_HALF] = np.uint64(0)
    _advance(rng)


@lean_helper
def _product_high(a: np.uint64, b: np.uint64) -> np.uint64:
    """Return the upper 64 bits of a product."""
    a_low, a_high = a & _MASK, a >> _32
    b_low, b_high = b & _MASK, b >> _32
    middle = a_high * b_low + ((a_low * b_low) >> _32)
    other = a_low * b_high + (middle & _MASK)
    return a_high * b_high + (middle >> _32) + (other >> _32)


@lean_helper
def _advance(rng: Words) -> None:
    high, low = rng[_STATE_HIGH], rng[_STATE_LOW]
    product = low * _MULTIPLIER_LOW
    upper = (
        _product_high(low, _MULTIPLIER_LOW)
        + high * _MULTIPLIER_LOW
        + low * _MULTIPLIER_HIGH
    )
    total = product + rng[_INC_LOW]
    carry = _ONE if total < product else np.uint64(0)
    rng[_STATE_LOW] = total
    rng[_STATE_HIGH] = upper + rng[_INC_HIGH] + carry


@lean_helper
def next_word(rng: Words) -> np.uint64:
    """Draw 64 random bits."""
    _advance(rng)
    high = rng[_STATE_HIGH]
    word = high ^ rng[_STATE_LOW]
    turn = high >> np.uint64(58)
    return (word >> turn) | (word << ((np.uint64(64) - turn) & np.uint64(63)))


@lean_helper
def random(rng: Words) -> float:
    """Draw a float in [0, 1), as `Generator.random()`."""
    return float(
        np.float64(next_word(rng) >> np.uint64(11)) * (1.0 / 9007199254740992.0)
    )


@lean_helper
def uniform(rng: Words, low: float, high: float) -> float:
    """Draw a float, as `Generator.uniform(low, high)`."""
    return low + (high - low) * random(rng)


@lean_helper
def _next_half(rng: Words) -> np.uint64:
    if rng[_HAS_HALF]:
        rng[_HAS_HALF] = np.uint64(0)
        return rng[_HALF]
    word = next_word(rng)
    rng[_HAS_HALF] = _ONE
    rng[_HALF] = word >> _32
    return word & _MASK


@lean_helper
def integers(rng: Words, n: int) -> int:
    """Draw an integer in [0, n), 0 < n < 2**32, as `Generator.integers(n)`."""
    if n == 1:
        return 0
    size = np.uint64(n)
    product = _next_half(rng) * size
    rest = product & _MASK
    if rest < size:
        threshold = ((_ONE << _32) - size) % size
        while rest < threshold:
            product = _next_half(rng) * size
            rest = product & _MASK
    return int(product >> _32)


@lean_helper
def normal(rng: Words) -> float:
    """Draw from the standard normal distribution, as `Generator.standard_normal()`.

    The logarithms and exponentials of 1 draw in 150 are the C library's, as NumPy's.
    """
    while True:
        word = next_word(rng)
        layer = np.int64(word & np.uint64(0xFF))
        word >>= np.uint64(8)
        bits = (word >> _ONE) & np.uint64(0x000FFFFFFFFFFFFF)
        x = np.float64(bits) * wi_double[layer]
        if word & _ONE:
            x = -x
        if bits < ki_double[layer]:
            return float(x)
        if layer == 0:
            while True:
                beyond = -_TAIL_INVERSE * math.log1p(-random(rng))
                height = -math.log1p(-random(rng))
                if height + height > beyond * beyond:
                    break
            negative = (bits >> np.uint64(8)) & _ONE
            return float(-(_TAIL + beyond) if negative else _TAIL + beyond)
        width = fi_double[layer - 1] - fi_double[layer]
        if width * random(rng) + fi_double[layer] < math.exp(-0.5 * x * x):
            return float(x)
