"""Seeding many of Python's generators at once.

Each of the 1,247 numbers that seeding computes depends on the one before, so a single
generator makes the processor wait; 16 of them side by side take hardly longer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from posggym_compiled.jit import lean_helper
from posggym_compiled.random.python_random import (
    FIRST_FACTOR,
    INITIAL,
    NUM_WORDS,
    SECOND_FACTOR,
    SIZE,
    Words,
    key_words,
)
from posggym_compiled.vectors import broadcast, transpose

LANES = 16
_VECTOR = ir.VectorType(ir.IntType(32), LANES)


class Generators(NamedTuple):
    """Seeded generators.

    Parameters
    ----------
    words
        uint32 (n, 625): the generators, see `python_random`.
    keys, lanes
        uint32 (2, 16) and (624, 16): scratch.
    """

    words: Words
    keys: Words
    lanes: Words


def make_generators(count: int) -> Generators:
    """Return room for generators, a multiple of 16 at least as large as `count`."""
    rows = -(-count // LANES) * LANES
    return Generators(
        *(
            np.zeros(s, np.uint32)
            for s in ((rows, SIZE), (2, LANES), (NUM_WORDS, LANES))
        )
    )


@lean_helper
def seed_generators(seeds: npt.NDArray[np.uint64], generators: Generators) -> None:
    """Seed the first generators as `random.Random(seed)` does, one for each seed.

    Parameters
    ----------
    seeds
        Shape (n,), at most as many as generators. Generators after them, up to a
        multiple of 16, get some seed.
    generators
        Written.
    """
    last = len(seeds) - 1
    for first in range(0, len(seeds), LANES):
        for lane in range(LANES):
            even, odd = key_words(seeds[min(first + lane, last)])
            generators.keys[0, lane] = np.uint32(even)
            generators.keys[1, lane] = np.uint32(odd)
            generators.words[first + lane, NUM_WORDS] = np.uint32(0)
        _mix_keys(generators.keys, INITIAL, generators.lanes)
        _transpose_lanes(generators.lanes, generators.words, first)


def _rows(builder: Any, array: Any) -> Any:
    """Return the address of the first vector of an array."""
    return builder.bitcast(array.data, _VECTOR.as_pointer())


def _arrays(context: Any, builder: Any, signature: Any, args: Any) -> list[Any]:
    return [
        context.make_array(kind)(context, builder, value)
        for kind, value in zip(signature.args, args, strict=True)
    ]


@intrinsic
def _mix_keys(typing_context: Any, keys: Any, initial: Any, lanes: Any) -> Any:
    """Write the words of 16 generators: as `python_random` does for a single one.

    Parameters
    ----------
    keys
        uint32 (2, 16): what is added at even and at odd steps.
    initial
        uint32 (624,): the words into which keys are mixed.
    lanes
        uint32 (624, 16), written: a generator in each column.
    """
    signature = numba.types.void(keys, initial, lanes)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = _arrays(context, builder, signature, args)
        keys, lanes = _rows(builder, arrays[0]), _rows(builder, arrays[2])
        initial = arrays[1].data
        previous = cgutils.alloca_once(builder, _VECTOR)

        def index(value: int) -> Any:
            return ir.Constant(ir.IntType(64), value)

        def same(value: int) -> Any:
            return ir.Constant(_VECTOR, [value] * LANES)

        def load(rows: Any, i: Any) -> Any:
            return builder.load(builder.gep(rows, [i]), align=4)

        def initial_word(i: Any) -> Any:
            return broadcast(builder, load(initial, i), _VECTOR)

        def mix(i: Any, word: Any, factor: int, term: Any) -> None:
            before = builder.load(previous)
            mixed = builder.xor(before, builder.lshr(before, same(30)))
            mixed = builder.xor(word, builder.mul(mixed, same(factor)))
            mixed = builder.add(mixed, term)
            builder.store(mixed, previous)
            builder.store(mixed, builder.gep(lanes, [i]), align=4)

        def places(first: int) -> Any:
            return cgutils.for_range_slice(
                builder, index(first), index(NUM_WORDS), index(1), ir.IntType(64)
            )

        builder.store(initial_word(index(0)), previous)
        with places(1) as (i, _):
            # The first step makes word 1.
            step = builder.and_(builder.sub(i, index(1)), index(1))
            mix(i, initial_word(i), FIRST_FACTOR, load(keys, step))
        # Word 0 takes the value of the last, so the next of word 1 is the last one.
        one = index(1)
        mix(one, load(lanes, one), FIRST_FACTOR, load(keys, one))
        with places(2) as (i, _):
            term = builder.trunc(builder.neg(i), ir.IntType(32))
            term = broadcast(builder, term, _VECTOR)
            mix(i, load(lanes, i), SECOND_FACTOR, term)
        mix(one, load(lanes, one), SECOND_FACTOR, same(2**32 - 1))
        builder.store(same(0x80000000), lanes, align=4)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _transpose_lanes(typing_context: Any, lanes: Any, words: Any, first: Any) -> Any:
    """Copy 16 generators from columns to rows.

    Parameters
    ----------
    lanes
        uint32 (624, 16).
    words
        uint32 (n, 625), written from row `first` on.
    first
        Number of a row.
    """
    signature = numba.types.void(lanes, words, first)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        arrays = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(kinds[:2], args[:2], strict=True)
        ]
        lanes, words = _rows(builder, arrays[0]), arrays[1].data
        size = ir.Constant(ir.IntType(64), SIZE)
        words = builder.gep(words, [builder.mul(args[2], size)])
        count = ir.Constant(ir.IntType(64), NUM_WORDS // LANES)
        with cgutils.for_range(builder, count) as loop:
            place = builder.mul(loop.index, ir.Constant(ir.IntType(64), LANES))
            rows = [
                builder.load(
                    builder.gep(
                        lanes, [builder.add(place, ir.Constant(place.type, i))]
                    ),
                    align=4,
                )
                for i in range(LANES)
            ]
            for i, column in enumerate(transpose(builder, rows)):
                start = ir.Constant(place.type, i * SIZE)
                target = builder.gep(words, [builder.add(place, start)])
                target = builder.bitcast(target, _VECTOR.as_pointer())
                builder.store(column, target, align=4)
        return context.get_dummy_value()

    return signature, generate
