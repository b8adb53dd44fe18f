"""Small pickles that demand much time or memory, or access beyond their data.

Each is well-formed (`pickletools.dis` accepts it) and uses operations that real files
use, so that it is refused for what it asks for; the reason is part of it.
"""

from __future__ import annotations

import io
import pickle
import struct
import subprocess
from typing import NamedTuple

import torch

PROTO = b"\x80\x04"


class Bomb(NamedTuple):
    """A pickle, and what the message about it matches."""

    content: bytes
    reason: str


class Executes:
    """Runs a command when it is unpickled."""

    def __init__(self, *command: str) -> None:
        self.command = command

    def __reduce__(self):
        return subprocess.run, (self.command,)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def blob(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def integer(value: int) -> bytes:
    data = pickle.encode_long(value)
    return b"\x8a" + bytes([len(data)]) + data


def name(module: str, of: str) -> bytes:
    return f"c{module}\n{of}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def pickled(*operations: bytes) -> bytes:
    return PROTO + b"".join(operations) + b"."


def doubled(levels: int) -> bytes:
    """Push a tuple of two, of the same tuple of two, and so on: 2**levels values."""
    steps = [
        b"h" + bytes([level]) + b"\x86q" + bytes([level + 1]) for level in range(levels)
    ]
    return b")q\x00" + b"".join(steps)


def deep(levels: int) -> bytes:
    return b")" + b"\x85" * levels


def dtype(code: str) -> bytes:
    return call(name("numpy", "dtype"), text(code), b"\x89", b"\x88")


def build_dtype(code: str, subarray: bytes, fields: bytes = b"N") -> bytes:
    state = [b"K\x03", text("<"), subarray, b"N", fields]
    end = [b"J\xff\xff\xff\xff", b"J\xff\xff\xff\xff", b"K\x00"]
    return dtype(code) + b"(" + b"".join(state + end) + b"tb"


def array(shape: bytes, of: bytes, data: bytes) -> bytes:
    made = call(
        name("numpy.core.multiarray", "_reconstruct"),
        name("numpy", "ndarray"),
        b"K\x00\x85",
        blob(b"b"),
    )
    return made + b"(K\x01" + shape + of + b"\x89" + data + b"tb"


def shape(*lengths: int) -> bytes:
    return b"(" + b"".join(map(integer, lengths)) + b"t"


def storage_bytes(numbers: int = 4) -> bytes:
    """Return what a pickled tensor of float32 holds as its storage."""
    buffer = io.BytesIO()
    storage = torch.zeros(numbers).storage()
    torch.save(storage, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def storage(data: bytes) -> bytes:
    return call(name("torch.storage", "_load_from_bytes"), blob(data))


def tensor(of: bytes, offset: int, size: bytes, stride: bytes) -> bytes:
    hooks = call(name("collections", "OrderedDict"))
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        *(of, integer(offset), size, stride, b"\x89", hooks),
    )


def plain_bombs() -> dict[str, Bomb]:
    """Return bombs of builtins, which work at any place in a pickle."""
    deep_lists = b"]" * 100_000 + b"a" * 99_999
    collisions = [integer(k * (2**61 - 1)) for k in range(1, 20_000)]
    nested, values = "nested more than 50 levels", "more than 250,000 values"
    lists = b"]q\x00" + b"".join(
        b"](h" + bytes([k]) + b"h" + bytes([k]) + b"eq" + bytes([k + 1])
        for k in range(30)
    )
    return {
        "doubled_lists": Bomb(pickled(b"(", lists, b"t"), values),
        "doubled_tuples": Bomb(pickled(doubled(40)), values),
        "deep_doubled_tuples": Bomb(pickled(doubled(60)), nested),
        "deep_tuples": Bomb(pickled(deep(200_000)), nested),
        "deep_lists": Bomb(pickled(deep_lists), nested),
        "cycle": Bomb(pickled(b"]q\x00h\x00a"), nested),
        # What is hashed: as a key, as one of several, in a set, in a Counter.
        "key": Bomb(pickled(b"}", doubled(40), b"Ns"), "a key is a tuple"),
        "deep_key": Bomb(pickled(b"}", deep(200_000), b"Ns"), "a key is a tuple"),
        "keys": Bomb(pickled(b"}(K\x01N", doubled(40), b"Nu"), "a key is a tuple"),
        "set": Bomb(pickled(b"\x8f(", doubled(40), b"\x90"), "a key is a tuple"),
        "deep_set": Bomb(pickled(b"\x8f(", deep(200_000), b"\x90"), "a key is a tuple"),
        "frozenset": Bomb(pickled(b"(", doubled(40), b"\x91"), "it uses FROZENSET"),
        "counter": Bomb(
            pickled(call(name("collections", "Counter"), b"}", doubled(40), b"K\x01s")),
            "names collections.Counter",
        ),
        "ordered_dict": Bomb(
            pickled(
                call(name("collections", "OrderedDict"), b"]", doubled(40), b"N\x86a")
            ),
            "OrderedDict with unexpected arguments",
        ),
        # Integers of the same hash, which are compared with each other.
        "colliding_keys": Bomb(
            pickled(b"}(", b"N".join(collisions), b"Nu"), "a key is 2305843009213693951"
        ),
        "colliding_set": Bomb(
            pickled(b"\x8f(", *collisions, b"\x90"), "a key is 2305843009213693951"
        ),
        "float_key": Bomb(
            pickled(b"}G", struct.pack(">d", 2.0**61), b"Ns"), "a key is 2.3"
        ),
        # Memory that is asked for before there is anything to put into it.
        "bytearray": Bomb(
            pickled(call(name("builtins", "bytearray"), b"J\xff\xff\xff\x7f")),
            "names builtins.bytearray",
        ),
        "bytes": Bomb(
            pickled(call(name("__builtin__", "bytes"), b"J\xff\xff\xff\x7f")),
            "__builtin__.bytes with unexpected arguments",
        ),
        "memo": Bomb(pickled(b"Nr\xff\xff\xff\x7f"), "memo index that is too large"),
        "integer": Bomb(pickled(b"\x8a\xff" + b"\x7f" * 255), "integer that is too"),
        "operations": Bomb(
            pickled(b"(", b"N" * 300_000, b"t"), "more than 250,000 operations"
        ),
        "encoded": Bomb(
            pickled(
                text("x" * 100_000),
                b"q\x00(",
                call(name("_codecs", "encode"), b"h\x00", text("latin1")) * 1000,
                b"t\x86",
            ),
            "unpacks to much more than its size",
        ),
    }


def number_bombs() -> dict[str, Bomb]:
    """Return bombs of NumPy's arrays and numbers."""
    numbers = blob(bytes(8 * 1000))
    larger = "larger than its data"
    parts = "structured type"
    return {
        "scalar_of_gigabytes": Bomb(
            pickled(
                call(
                    name("numpy.core.multiarray", "scalar"),
                    *(dtype("V2000000000"), blob(b"")),
                )
            ),
            "arrays of 'V2000000000'",
        ),
        "text_of_gigabytes": Bomb(
            pickled(array(shape(1), dtype("U500000000"), blob(b""))),
            "arrays of 'U500000000'",
        ),
        "objects": Bomb(
            pickled(array(shape(1), dtype("O8"), blob(bytes(8)))), "arrays of 'O8'"
        ),
        "object_list": Bomb(
            pickled(array(shape(1), dtype("f8"), b"]")), "not consist of numbers"
        ),
        "subarray": Bomb(
            pickled(
                array(
                    shape(1000),
                    build_dtype("f8", dtype("f8") + shape(2**20) + b"\x86"),
                    numbers,
                )
            ),
            parts,
        ),
        "pointers": Bomb(
            pickled(
                array(shape(1000), build_dtype("f8", b"N", b"}"), numbers),
            ),
            parts,
        ),
        "shape": Bomb(pickled(array(shape(2**40), dtype("f8"), numbers)), larger),
        "empty_rows": Bomb(
            pickled(array(shape(2**32, 0), dtype("f4"), blob(b""))), larger
        ),
        "overflowing_shape": Bomb(
            pickled(array(shape(2**32, 2**32), dtype("f4"), blob(b""))), larger
        ),
        "negative_shape": Bomb(pickled(array(shape(-1), dtype("f8"), numbers)), larger),
        "many_axes": Bomb(
            pickled(array(shape(*[1] * 60), dtype("f8"), blob(bytes(8)))),
            "an invalid",
        ),
        "made_array": Bomb(
            pickled(call(name("numpy", "ndarray"), shape(2**31, 2**31))),
            "calls numpy.ndarray|calls a Name",
        ),
        "one_blob_for_a_thousand_arrays": Bomb(
            pickled(
                blob(bytes(80_000)),
                b"q\x00(",
                array(shape(10_000), dtype("f8"), b"h\x00") * 1000,
                b"t\x86",
            ),
            "unpacks to much more than its size",
        ),
    }


def tensor_bombs(of: bytes, numbers: int) -> dict[str, Bomb]:
    """Return bombs of tensors.

    Parameters
    ----------
    of
        Operations that push a storage of float32.
    numbers
        Its length.
    """
    larger, strides = "larger than its data", "strides do not match"
    whole = tensor(b"h\x00", 0, shape(numbers), shape(1))
    cases = {
        "repeated": ((0, shape(2**20, 2**20), shape(0, 0)), larger),
        "empty_rows": ((0, shape(2**32, 0), shape(1, 1)), larger),
        "before": ((-16, shape(4), shape(1)), strides),
        "negative_stride": ((numbers - 1, shape(4), shape(-1)), strides),
        "after": ((numbers, shape(1), shape(1)), "reaches beyond its storage"),
        "far_stride": ((0, shape(2), shape(2**61)), "reaches beyond its storage"),
        "few_strides": ((0, shape(2, 2), shape(1)), strides),
    }
    return {
        **{
            f"tensor_{key}": Bomb(pickled(tensor(of, *arguments)), reason)
            for key, (arguments, reason) in cases.items()
        },
        "one_storage_for_a_thousand_tensors": Bomb(
            pickled(of, b"q\x00(", whole * 1000, b"t\x86"),
            "unpacks to much more than its size",
        ),
    }
