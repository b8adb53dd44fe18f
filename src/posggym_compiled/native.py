"""C functions that POSGGym's environments reach through Python, for compiled code.

The bits of an episode depend on libraries that do the arithmetic: NumPy's loops are
made for the processor that they run on (vectorised sines, powers, and a BLAS), and the
physics engine is a library of its own. Compiled code calls these very functions.

They are called by name. The name is bound to the function's address in this process, so
kernels that are cached on disk hold no addresses.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.types.containers import UniTuple
from numba.extending import intrinsic

from posggym_compiled.interface import UnsupportedError
from posggym_compiled.jit import lean_helper

if sys.platform == "win32":
    raise UnsupportedError("continuous worlds: the C functions' calls are unknown here")

_PREFIX = "posggym_compiled_"

Address = types.uintp
_Type = Any


def bind(name: str, address: int) -> str:
    """Make a C function known to compiled code and return its symbol there."""
    symbol = _PREFIX + name
    llvmlite.binding.add_symbol(symbol, address)
    return symbol


def c_function(name: str, address: int, signature: _Type) -> Any:
    """Return a C function as something that kernels can call.

    Parameters
    ----------
    name
        Any name that no other function has.
    address
        Where it is in this process.
    signature
        Numba signature of numbers and addresses.
    """
    return types.ExternalFunction(bind(name, address), signature)


# libm's own power: LLVM would turn a call of `pow(x, 2.0)` into a product, whose last
# bit can differ.
_libm = ctypes.CDLL(None)
power = c_function(
    "pow",
    ctypes.cast(_libm.pow, ctypes.c_void_p).value or 0,
    types.float64(types.float64, types.float64),
)


@intrinsic
def fma32(typingctx: Any, x: _Type, y: _Type, z: _Type) -> Any:
    """Return x * y + z of three float32, rounded once."""
    number = types.float32

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fma(*args)

    return number(number, number, number), codegen


# --- numbers in memory, for code that makes no arrays ---------------------------------


@intrinsic
def _on_stack(typingctx: Any, values: _Type) -> Any:
    """Return the address of numbers (a tuple), until the calling function returns."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        parts = cgutils.unpack_tuple(builder, args[0])
        array = cgutils.alloca_once(builder, ir.ArrayType(parts[0].type, len(parts)))
        for i, part in enumerate(parts):
            builder.store(part, cgutils.gep(builder, array, 0, i))
        return builder.ptrtoint(array, context.get_value_type(types.intp))

    return types.intp(values), codegen


@intrinsic
def _read(typingctx: Any, address: _Type, like: _Type) -> Any:
    """Return the number at an address, of the type of another number."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], args[1].type.as_pointer()))

    return like(types.intp, like), codegen


# --- NumPy's loops ------------------------------------------------------------------


class _UFunc(ctypes.Structure):
    """The beginning of NumPy's public `PyUFuncObject`."""

    _fields_ = (
        ("head", ctypes.c_byte * object.__basicsize__),
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
    )


def _loop_address(ufunc: np.ufunc, kinds: str) -> int:
    """Return the address of the loop that a ufunc has for some types ("dd->d")."""
    fields = _UFunc.from_address(id(ufunc))
    if fields.ntypes != ufunc.ntypes:
        raise UnsupportedError(f"numpy {np.__version__}: ufuncs have an unknown layout")
    i = ufunc.types.index(kinds)
    if fields.data and fields.data[i]:
        raise UnsupportedError(f"numpy {np.__version__}: {ufunc.__name__} needs data")
    return int(fields.functions[i])


def _loop(ufunc: np.ufunc, kinds: str) -> Callable[..., None]:
    """Return a function of addresses, dimensions and strides (tuples) for a loop."""
    symbol = bind(f"{ufunc.__name__}_{kinds}", _loop_address(ufunc, kinds))

    @intrinsic
    def call(
        typingctx: Any, addresses: _Type, dimensions: _Type, strides: _Type
    ) -> Any:
        arguments = tuple(
            UniTuple(types.intp, len(part)) for part in (addresses, dimensions, strides)
        )

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            number = context.get_value_type(types.intp)
            pointers = []
            for packed in args:
                values = cgutils.unpack_tuple(builder, packed)
                array = cgutils.alloca_once(builder, ir.ArrayType(number, len(values)))
                for i, value in enumerate(values):
                    builder.store(value, cgutils.gep(builder, array, 0, i))
                pointers.append(builder.bitcast(array, number.as_pointer()))
            pointers.append(ir.Constant(number.as_pointer(), None))
            kind = ir.FunctionType(ir.VoidType(), [p.type for p in pointers])
            builder.call(
                cgutils.get_or_insert_function(builder.module, kind, symbol), pointers
            )
            return context.get_dummy_value()

        return types.void(*arguments), codegen

    return call


_cos32 = _loop(np.cos, "f->f")
_sin32 = _loop(np.sin, "f->f")
_power64 = _loop(np.power, "dd->d")
_matmul32 = _loop(np.matmul, "ff->f")
_matmul64 = _loop(np.matmul, "dd->d")


@lean_helper
def cos32(angles: Any, out: Any) -> None:
    """Write `np.cos(angles)` of a float32 array."""
    _cos32((angles.ctypes.data, out.ctypes.data), (len(angles),), (4, 4))


@lean_helper
def sin32(angles: Any, out: Any) -> None:
    """Write `np.sin(angles)` of a float32 array."""
    _sin32((angles.ctypes.data, out.ctypes.data), (len(angles),), (4, 4))


@lean_helper
def square64(values: Any) -> None:
    """Replace float64 values by NumPy's `value**2`, as it is for float32 scalars.

    NumPy sends a float32 scalar to a Python integer's power through its loop for
    float64, which need not give the bits of a product or of libm's `pow`.
    """
    data = values.ctypes.data
    # Apart from the values: NumPy computes ranges that may overlap in another way.
    _power64((data, _on_stack((2.0,)), data), (len(values),), (8, 0, 8))


@lean_helper
def matmul32(x: np.float32, y: np.float32, matrix: Any, out: Any) -> None:
    """Write `np.matmul([x, y], matrix.T)`, float32, shapes (m, 2) and (m,)."""
    m = len(matrix)
    _matmul32(
        (_on_stack((x, y)), matrix.ctypes.data, out.ctypes.data),
        (1, 1, 2, m),
        (0, 0, 0, 8, 4, 4, 8, 4 * m, 4),
    )


@lean_helper
def rotate64(rotation: Any, vectors: Any, out: Any) -> None:
    """Write `rotation.dot(vectors[i])` to `out[i]`, float64, (2, 2), (n, 2), (n, 2)."""
    _matmul64(
        (rotation.ctypes.data, vectors.ctypes.data, out.ctypes.data),
        (len(vectors), 2, 2, 1),
        (0, 16, 16, 16, 8, 8, 8, 8, 8),
    )


@lean_helper
def dot64(x: float, y: float, other_x: float, other_y: float) -> float:
    """Return `np.dot` of two float64 vectors, each of shape (2,)."""
    one, other = _on_stack((x, y)), _on_stack((other_x, other_y))
    out = _on_stack((0.0,))
    _matmul64((one, other, out), (1, 1, 2, 1), (0, 0, 0, 16, 8, 8, 8, 8, 8))
    return _read(out, 0.0)


@lean_helper
def norm32(x: np.float32, y: np.float32) -> np.float32:
    """Return `np.linalg.norm` of a float32 vector, shape (2,).

    It is a product by the BLAS, which is only asked where it matters how it rounds.
    """
    first, second = x * x, y * y
    total = first + second
    if fma32(x, x, second) != total or fma32(y, y, first) != total:
        vector, out = _on_stack((x, y)), _on_stack((x,))
        _matmul32((vector, vector, out), (1, 1, 2, 1), (0, 0, 0, 8, 4, 4, 4, 4, 4))
        total = _read(out, x)
    return np.float32(math.sqrt(total))


@lean_helper
def squares64(x: float, y: float) -> tuple[float, float]:
    """Return NumPy's `value**2` of two float32 scalars, given as float64."""
    values, two = _on_stack((x, y)), _on_stack((2.0,))
    _power64((values, two, values), (2,), (8, 0, 8))
    return _read(values, 0.0), _read(values + 8, 0.0)
