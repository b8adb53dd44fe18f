"""Safe reading of untrusted pickles: nothing in them is imported or called.

Python's `pickle` imports and calls whatever a file names, and a few bytes can make it
allocate gigabytes or run for years. `Machine` interprets the same format, with four
differences:

- Names in a file are looked up in a table given by the caller, which maps them to
  functions of this project or to a `Record`, which stores fields and has no behaviour.
- Only operations that picklers write for data are supported.
- Keys are strings or small integers, so that hashing and comparing them is cheap.
- The number of operations and values, and the result's depth and size, are limited.

Everything else raises `ForeignFileError`, with a one-line message.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import pickletools
import stat
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

MAX_FILE_SIZE = 256 * 1024 * 1024
"""Maximum file size in bytes; real policies have a few megabytes at most."""
MAX_OPERATIONS = 250_000
"""Maximum number of operations; policies have a few hundred, plus one per return."""
MAX_VALUES = 250_000
"""Maximum number of values in the result; shared values count each time they occur."""
MAX_DEPTH = 50
"""Maximum depth of nested containers."""
MAX_KEY = 1_000_000
"""Largest integer key; much larger keys could be chosen to have equal hashes."""
MAX_INTEGER_BYTES = 16
"""Size in bytes of the largest integer, the state of a random generator."""
MAX_DIMENSIONS = 8
"""Maximum number of array dimensions."""

NOT_A_PICKLE = "it is not a pickle, or it is damaged"


class ForeignFileError(ValueError):
    """A file is not valid; the message gives the reason in one line."""


Make = Callable[..., Any]
"""Replacement for a callable in a pickle: called with the budget and its arguments."""
Names = Mapping[tuple[str, str], Make | None]
"""Replacement of each (module, name); None for names that only occur as arguments."""


class Budget:
    """Limits the cost of reading one file.

    Parameters
    ----------
    size
        Size of the file in bytes. The limit of allocated bytes is a small multiple of
        it, because arrays are copied once or twice.
    """

    def __init__(self, size: int) -> None:
        self._operations = MAX_OPERATIONS
        self._values = MAX_VALUES
        self._bytes = 4 * size + 2**16

    def spend_operation(self) -> None:
        """Count one operation of a pickle."""
        self._operations -= 1
        if self._operations < 0:
            raise ForeignFileError(f"it has more than {MAX_OPERATIONS:,} operations")

    def spend_value(self, depth: int) -> None:
        """Count one value of the result, at the given depth."""
        self._values -= 1
        if self._values < 0:
            raise ForeignFileError(f"it has more than {MAX_VALUES:,} values")
        if depth > MAX_DEPTH:
            raise ForeignFileError(f"it is nested more than {MAX_DEPTH} levels deep")

    def spend_bytes(self, count: int) -> None:
        """Count bytes, before they are allocated or processed."""
        self._bytes -= count
        if self._bytes < 0:
            raise ForeignFileError("it unpacks to much more than its size")


class Record:
    """An object of a pickle as plain data: its class's name, and its fields.

    Parameters
    ----------
    name
        Qualified name of the class, for example "gym.spaces.box.Box".
    """

    __slots__ = ("fields", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.fields: dict[str, Any] = {}


class Name:
    """A qualified name in a pickle, and its replacement."""

    __slots__ = ("make", "name")

    def __init__(self, name: str, make: Make | None) -> None:
        self.name = name
        self.make = make


class DType:
    """Replaces a `numpy.dtype` of numbers."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype


class Array:
    """Replaces a `numpy.ndarray`, whose numbers follow in a later operation."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: np.ndarray | None = None


_CODES = frozenset(
    {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}
)


def _dtype(_: Budget, code: Any, *_flags: Any) -> DType:
    if not isinstance(code, str) or code not in _CODES:
        raise ForeignFileError(f"arrays of {short(code)} are not arrays of numbers")
    return DType(np.dtype(f"<{code}"))


def _reconstruct(_: Budget, kind: Any, *_arguments: Any) -> Array:
    if not isinstance(kind, Name) or kind.name != "numpy.ndarray":
        raise ForeignFileError("an array is not a numpy.ndarray")
    return Array()


def _from_buffer(
    budget: Budget, data: Any, dtype: Any, shape: Any, order: Any
) -> Array:
    """Replace `numpy.core.numeric._frombuffer`, which protocol 5 has."""
    array = Array()
    _build_array(array, (1, shape, dtype, order == "F", data), budget)
    return array


def _scalar(_: Budget, dtype: Any, data: Any) -> Any:
    if not isinstance(dtype, DType) or not isinstance(data, bytes):
        raise ForeignFileError("a NumPy scalar is not a number")
    if len(data) != dtype.dtype.itemsize:
        raise ForeignFileError("a NumPy scalar does not have the size of its type")
    return np.frombuffer(data, dtype.dtype)[0].item()


def _encode(budget: Budget, text: Any, encoding: Any) -> bytes:
    """Replace `_codecs.encode`, with which old protocols store bytes."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ForeignFileError("bytes are not stored as latin-1 text")
    budget.spend_bytes(len(text))
    return text.encode("latin-1")


def _no_bytes(_: Budget) -> bytes:
    """Replace `bytes()`, with which old protocols store empty bytes."""
    return b""


def _ordered_dict(_: Budget) -> OrderedDict[Any, Any]:
    return OrderedDict()


def records(*names: str) -> dict[tuple[str, str], Make]:
    """Return a table that replaces each class, "module.Class", by a `Record`."""
    return {
        (name.rpartition(".")[0], name.rpartition(".")[2]): _record_maker(name)
        for name in names
    }


def _record_maker(name: str) -> Make:
    def make(_: Budget, *_arguments: Any) -> Record:
        return Record(name)

    return make


PLAIN_NAMES: Names = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _dtype,
    **{
        (f"numpy.{core}.multiarray", name): make
        for core in ("core", "_core")
        for name, make in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
}
"""Names in pickles of dictionaries, bytes, NumPy arrays and NumPy scalars."""


def short(value: Any) -> str:
    """Format a value from a file for a message, as one short line."""
    if isinstance(value, str | bytes):
        return repr(value[:60])
    if value is None or isinstance(value, int | float):
        return repr(value)[:60]
    return f"a {value.name if isinstance(value, Record) else type(value).__name__}"


def read_file(path: Path) -> bytes:
    """Return the content of a regular file of at most `MAX_FILE_SIZE` bytes.

    Raises
    ------
    ForeignFileError
        If it cannot be read, is larger, or is not a regular file.
    """
    try:
        # Without O_NONBLOCK, opening a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ForeignFileError("not a regular file")
            if status.st_size > MAX_FILE_SIZE:
                raise ForeignFileError(f"larger than {MAX_FILE_SIZE // 2**20} MiB")
            return file.read(MAX_FILE_SIZE)
    except OSError as error:
        raise ForeignFileError(str(error.strerror)) from error


def safe_load(data: bytes, names: Names) -> Any:
    """Read a pickle without executing anything, in bounded time and memory.

    Parameters
    ----------
    data
        Exactly one pickle.
    names
        Replacements of the names that the pickle may contain, such as `PLAIN_NAMES`.

    Returns
    -------
    Any
        Builtins, NumPy arrays, records, and objects created by `names`.

    Raises
    ------
    ForeignFileError
        If the data is not such a pickle, or exceeds a limit.
    """
    budget = Budget(len(data))
    with refusing():
        machine = Machine(data, names, budget)
        value = machine.run()
        if machine.position != len(data):
            raise ForeignFileError("it has data after its end")
        return resolve(value, budget)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Convert all errors caused by damaged data to `ForeignFileError`."""
    try:
        yield
    except ForeignFileError:
        raise
    except Exception as error:
        # The error's own message would be about this program, not about the file.
        raise ForeignFileError(f"it is damaged ({type(error).__name__})") from error


class Machine:
    """Interprets one pickle.

    Parameters
    ----------
    data
        Data that contains the pickle.
    names
        Replacements of the names in it.
    budget
        The budget of the file, shared by all of its pickles.
    persistent
        Creates the object of a persistent id; None if the pickle may not have any.
    position
        Offset of the pickle; after `run`, offset of its end.
    """

    def __init__(
        self,
        data: bytes | memoryview,
        names: Names,
        budget: Budget,
        persistent: Callable[[Any], Any] | None = None,
        position: int = 0,
    ) -> None:
        self._data = memoryview(data)
        self._names = names
        self._budget = budget
        self._persistent = persistent
        self.position = position
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """Return the value of the pickle; call `resolve` on it afterwards."""
        while True:
            self._budget.spend_operation()
            code = self._take(1)
            if code == pickle.STOP:
                break
            operation = _OPERATIONS.get(code)
            if operation is None:
                what = _OPERATION_NAMES.get(code.decode("latin-1"))
                if what is None:
                    raise ForeignFileError(NOT_A_PICKLE)
                raise ForeignFileError(f"it uses {what}, which no such file needs")
            operation(self)
        (value,) = self._stack
        if self._marks:
            raise ForeignFileError("it ends within a container")
        return value

    def _take(self, count: int) -> bytes:
        start = self.position
        self.position = start + count
        if self.position > len(self._data):
            raise ForeignFileError("it is truncated")
        return bytes(self._data[start : self.position])

    def _take_number(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _take_line(self) -> str:
        start = self.position
        # Names of modules and classes are short.
        line, end, _ = bytes(self._data[start : start + 200]).partition(b"\n")
        if not end:
            raise ForeignFileError("it has an unterminated name")
        self.position = start + len(line) + 1
        return line.decode("ascii")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self, count: int) -> list[Any]:
        start = len(self._stack) - count
        if start < (self._marks[-1] if self._marks else 0):
            raise ForeignFileError("it takes values that are not there")
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _pop_mark(self) -> list[Any]:
        if not self._marks:
            raise ForeignFileError("it takes values that are not there")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _top(self) -> Any:
        (value,) = self._pop(1)
        self._push(value)
        return value

    def _mark(self) -> None:
        self._marks.append(len(self._stack))

    def _number(self, layout: str) -> None:
        self._push(self._take_number(layout))

    def _protocol(self) -> None:
        if self._take_number("<B") > pickle.HIGHEST_PROTOCOL:
            raise ForeignFileError("it has the protocol of a later Python")

    def _integer(self) -> None:
        count = self._take_number("<B")
        if count > MAX_INTEGER_BYTES + 1:
            raise ForeignFileError("it has an integer that is too large")
        self._push(int.from_bytes(self._take(count), "little", signed=True))

    def _text(self, layout: str) -> None:
        self._push(self._take(self._take_number(layout)).decode("utf-8"))

    def _bytes(self, layout: str) -> None:
        self._push(self._take(self._take_number(layout)))

    def _tuple(self, count: int) -> None:
        self._push(tuple(self._pop(count)))

    def _tuple_of_mark(self) -> None:
        self._push(tuple(self._pop_mark()))

    def _append(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not list:
            raise ForeignFileError(f"it appends to {short(target)}")
        target.extend(values)

    def _add(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) is not set:
            raise ForeignFileError(f"it adds to {short(target)}")
        target.update(map(checked_key, values))

    def _set(self, values: list[Any]) -> None:
        target = self._top()
        if type(target) not in (dict, OrderedDict):
            raise ForeignFileError(f"it sets items of {short(target)}")
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[checked_key(key)] = value

    def _get(self, layout: str) -> None:
        index = self._take_number(layout)
        if index not in self._memo:
            raise ForeignFileError(NOT_A_PICKLE)
        self._push(self._memo[index])

    def _put(self, layout: str) -> None:
        index = self._take_number(layout)
        # Python's own unpickler would allocate memory for all indices up to this one.
        if index > MAX_OPERATIONS:
            raise ForeignFileError("it has a memo index that is too large")
        self._memo[index] = self._top()

    def _memoize(self) -> None:
        self._memo[len(self._memo)] = self._top()

    def _global(self) -> None:
        self._push_name(self._take_line(), self._take_line())

    def _stack_global(self) -> None:
        self._push_name(*self._pop(2))

    def _push_name(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ForeignFileError("it has a name that is not a string")
        full = f"{module[:100]}.{name[:100]}"
        if (module, name) not in self._names:
            what = full if full.isprintable() else repr(full)
            raise ForeignFileError(f"it names {what}, which no such file needs")
        self._push(Name(full, self._names[module, name]))

    def _call(self) -> None:
        function, arguments = self._pop(2)
        if not isinstance(function, Name) or function.make is None:
            raise ForeignFileError(f"it calls {short(function)}")
        if not isinstance(arguments, tuple):
            raise ForeignFileError(f"it calls {function.name} without arguments")
        try:
            self._push(function.make(self._budget, *arguments))
        except TypeError as error:
            raise ForeignFileError(
                f"it calls {function.name} with unexpected arguments"
            ) from error

    def _build(self) -> None:
        (state,) = self._pop(1)
        target = self._top()
        if isinstance(target, Record):
            # Slots and random generators have other states, which are not needed.
            if isinstance(state, dict):
                target.fields.update(state)
        elif isinstance(target, DType):
            _build_dtype(target, state)
        elif isinstance(target, Array):
            _build_array(target, state, self._budget)
        elif not (isinstance(target, OrderedDict) and _is_metadata(state)):
            raise ForeignFileError(f"it has a state for {short(target)}")

    def _persistent_id(self) -> None:
        (value,) = self._pop(1)
        if self._persistent is None:
            raise ForeignFileError("it uses BINPERSID, which no such file needs")
        self._push(self._persistent(value))


def _is_metadata(state: Any) -> bool:
    """Return whether a state is the metadata that PyTorch adds to a state_dict."""
    return isinstance(state, dict) and set(state) == {"_metadata"}


def checked_key(key: Any) -> str | int | None:
    """Return a dictionary key or set member after checking that it is cheap to hash."""
    if key is None or isinstance(key, str):
        return key
    if isinstance(key, int) and abs(key) <= MAX_KEY:
        return key
    raise ForeignFileError(f"a key is {short(key)}, not a string or a small integer")


def _build_dtype(target: DType, state: Any) -> None:
    if not isinstance(state, tuple) or len(state) < 5:
        raise ForeignFileError("an array's type is damaged")
    order, *parts = state[1:5]
    if order not in ("<", ">", "|", "=") or parts != [None, None, None]:
        raise ForeignFileError("an array has a structured type, not numbers")
    target.dtype = target.dtype.newbyteorder(order)


def _build_array(target: Array, state: Any, budget: Budget) -> None:
    _, shape, dtype, fortran, data = state
    if not isinstance(dtype, DType) or not isinstance(data, bytes):
        raise ForeignFileError("an array does not consist of numbers")
    if len(data) % dtype.dtype.itemsize:
        raise ForeignFileError("an array ends in the middle of a number")
    flat = np.frombuffer(data, dtype.dtype)
    if check_shape(shape, len(flat)) != len(flat):
        raise ForeignFileError("an array's shape does not match its data")
    budget.spend_bytes(len(data))
    native = flat.astype(dtype.dtype.newbyteorder("="))
    target.value = native.reshape(shape, order="F" if fortran is True else "C")


def check_shape(shape: Any, available: int) -> int:
    """Return the number of elements of a shape from a file.

    Raises
    ------
    ForeignFileError
        If it is not a valid shape, or the array or one of its axes is longer than
        `available`. The axes are checked because an array of shape (2**32, 0) has no
        elements, but code that uses it may allocate memory for each row.
    """
    if not isinstance(shape, tuple) or len(shape) > MAX_DIMENSIONS:
        raise ForeignFileError("an array has an invalid shape")
    for length in shape:
        if type(length) is not int or not 0 <= length <= available:
            raise ForeignFileError("an array's shape is larger than its data")
    count = math.prod(shape)
    if count > available:
        raise ForeignFileError("an array's shape is larger than its data")
    return count


def resolve(value: Any, budget: Budget, depth: int = 0) -> Any:
    """Replace each `Array` in a value by its NumPy array, counting all values."""
    budget.spend_value(depth)
    if isinstance(value, Array):
        if value.value is None:
            raise ForeignFileError("an array has no numbers")
        return value.value
    if isinstance(value, dict):
        items = [(key, resolve(part, budget, depth + 1)) for key, part in value.items()]
        return type(value)(items)
    if isinstance(value, list | tuple):
        return type(value)(resolve(part, budget, depth + 1) for part in value)
    if isinstance(value, Record):
        copy = Record(value.name)
        copy.fields = resolve(value.fields, budget, depth + 1)
        return copy
    return value


_Operation = Callable[[Machine], object]


def _constant(value: Any) -> _Operation:
    return lambda machine: machine._push(value)


def _empty(kind: type) -> _Operation:
    return lambda machine: machine._push(kind())


def _sized(method: Callable[[Machine, str], None], layout: str) -> _Operation:
    """Return an operation whose argument is a number in the given `struct` layout."""
    return lambda machine: method(machine, layout)


# What picklers of protocols 2 to 5 write for data.
_OPERATIONS: dict[bytes, _Operation] = {
    pickle.PROTO: Machine._protocol,
    # Frame sizes only help unpicklers to read ahead.
    pickle.FRAME: lambda machine: machine._take(8),
    pickle.NONE: _constant(None),
    pickle.NEWTRUE: _constant(True),
    pickle.NEWFALSE: _constant(False),
    pickle.BININT: _sized(Machine._number, "<i"),
    pickle.BININT1: _sized(Machine._number, "<B"),
    pickle.BININT2: _sized(Machine._number, "<H"),
    pickle.BINFLOAT: _sized(Machine._number, ">d"),
    pickle.LONG1: Machine._integer,
    pickle.BINUNICODE: _sized(Machine._text, "<I"),
    pickle.SHORT_BINUNICODE: _sized(Machine._text, "<B"),
    pickle.BINBYTES: _sized(Machine._bytes, "<I"),
    pickle.SHORT_BINBYTES: _sized(Machine._bytes, "<B"),
    pickle.BYTEARRAY8: _sized(Machine._bytes, "<Q"),
    pickle.MARK: Machine._mark,
    pickle.EMPTY_TUPLE: _constant(()),
    pickle.TUPLE: Machine._tuple_of_mark,
    pickle.TUPLE1: lambda machine: machine._tuple(1),
    pickle.TUPLE2: lambda machine: machine._tuple(2),
    pickle.TUPLE3: lambda machine: machine._tuple(3),
    pickle.EMPTY_LIST: _empty(list),
    pickle.APPEND: lambda machine: machine._append(machine._pop(1)),
    pickle.APPENDS: lambda machine: machine._append(machine._pop_mark()),
    pickle.EMPTY_SET: _empty(set),
    pickle.ADDITEMS: lambda machine: machine._add(machine._pop_mark()),
    pickle.EMPTY_DICT: _empty(dict),
    pickle.SETITEM: lambda machine: machine._set(machine._pop(2)),
    pickle.SETITEMS: lambda machine: machine._set(machine._pop_mark()),
    pickle.BINGET: _sized(Machine._get, "<B"),
    pickle.LONG_BINGET: _sized(Machine._get, "<I"),
    pickle.BINPUT: _sized(Machine._put, "<B"),
    pickle.LONG_BINPUT: _sized(Machine._put, "<I"),
    pickle.MEMOIZE: Machine._memoize,
    pickle.GLOBAL: Machine._global,
    pickle.STACK_GLOBAL: Machine._stack_global,
    pickle.REDUCE: Machine._call,
    pickle.NEWOBJ: Machine._call,
    pickle.BUILD: Machine._build,
    pickle.BINPERSID: Machine._persistent_id,
}
_OPERATION_NAMES = {code.code: code.name for code in pickletools.opcodes}
