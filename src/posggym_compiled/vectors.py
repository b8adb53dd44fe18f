"""Numba's optimiser does not find all that runs on vectors; intrinsics write it out.

Processors without vectors of a width compute the same in parts.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir


def broadcast(builder: Any, value: Any, vector: ir.VectorType) -> Any:
    """Return a vector of equal numbers."""
    first = ir.Constant(ir.IntType(32), 0)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), value, first)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)
    return builder.shuffle_vector(single, single, zeros)


def transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the columns of a square matrix of a power of 2 rows."""
    width = len(rows)
    distance = 1
    while distance < width:
        # Swaps the off-diagonal quarters of all blocks of twice the distance.
        upper = [i + width - distance if i & distance else i for i in range(width)]
        lower = [i + width if i & distance else i + distance for i in range(width)]
        rows = [
            _shuffle(builder, rows[i & ~distance], rows[i | distance], indices)
            for i in range(width)
            for indices in [lower if i & distance else upper]
        ]
        distance *= 2
    return rows


def _shuffle(builder: Any, first: Any, second: Any, indices: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(ir.IntType(32), len(indices)), indices)
    return builder.shuffle_vector(first, second, mask)
