"""Unpickling files of others: nothing runs, time and memory are bounded.

`pickle` itself calls whatever a file names. Restricting the names (`find_class`) is not
enough: what is named can be called with any arguments, containers can be nested such
that hashing or walking them never ends, and a few bytes can ask for gigabytes. Here the
opcodes, their number, the types of keys and the targets of every operation are checked,
and arrays are built by functions that never allocate more than the file holds.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import pickletools
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

# Policies have a few hundred; each return of an evaluation is one.
MAX_OPCODES = 500_000
# Values that are met when everything is visited, shared ones once for each visit.
MAX_VALUES = 1_000_000
MAX_DEPTH = 50
# Real ones have a few hundred kilobytes.
MAX_FILE_SIZE = 256 * 1024 * 1024

_OPCODES = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP"),
        *("NONE", "NEWTRUE", "NEWFALSE", "INT", "LONG", "LONG1", "BININT", "BININT1"),
        *("BININT2", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"),
        *("EMPTY_LIST", "APPEND", "APPENDS", "LIST", "EMPTY_TUPLE", "TUPLE", "TUPLE1"),
        *("TUPLE2", "TUPLE3", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
        *("EMPTY_SET", "ADDITEMS", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
        *("NEWOBJ", "GET", "BINGET", "LONG_BINGET", "PUT", "BINPUT", "LONG_BINPUT"),
        "MEMOIZE",
    }
)
_KEYS = str | int | float | bool | bytes | None
_DTYPES = frozenset("?bBhHiIlLqQefd")


class Inert:
    """Stand-in for a class of a foreign pickle: keeps its state, does nothing."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError(f"unexpected state for {type(self).__name__}")
        self.__dict__.update(state)


class DType:
    """Stand-in for `numpy.dtype`: a number type and its byte order."""

    def __init__(self, code: str, *_: Any) -> None:
        kind = np.dtype(code) if isinstance(code, str) and len(code) <= 3 else None
        if kind is None or kind.char not in _DTYPES:
            raise pickle.UnpicklingError(f"arrays of {code!r} are not numbers")
        self.dtype = kind

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
            self.dtype = self.dtype.newbyteorder(">")


class _ArrayName:
    """What `numpy.ndarray` stands for: only ever an argument."""


class Array(Inert):
    """Stand-in for an array; `value` has it once its state is there."""

    value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        """Take (version, shape, dtype, is_fortran, data)."""
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, DType) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array does not consist of numbers")
        flat = np.frombuffer(data, dtype.dtype)
        # Refuses shapes that ask for more numbers than there are.
        self.value = flat.reshape(shape, order="F" if fortran else "C").copy()


def _reconstruct(kind: Any, *_: Any) -> Array:
    if kind is not _ArrayName:
        raise pickle.UnpicklingError("an array of another class than numpy.ndarray")
    return Array()


def _scalar(dtype: Any, data: Any) -> Any:
    if not isinstance(dtype, DType) or not isinstance(data, bytes):
        raise pickle.UnpicklingError("a NumPy scalar that is no number")
    (value,) = np.frombuffer(data, dtype.dtype)
    return value


def _storage_from_bytes(data: bytes) -> Any:
    check_archive(data)
    return torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")


@contextlib.contextmanager
def typed_storages() -> Iterator[None]:
    """Use PyTorch's typed storages without its warning: policy files consist of them.

    A decorator, too.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TypedStorage is deprecated")
        yield


@typed_storages()
def _rebuild_tensor(
    storage: Any, offset: int, size: tuple[int, ...], stride: Any, *_: Any
) -> torch.Tensor:
    flat = torch.tensor([], dtype=storage.dtype).set_(storage.untyped())
    count = 1
    for length in size:
        count *= length
    # A stride of 0 would make a tensor of any size of one number.
    if count > flat.numel():
        raise pickle.UnpicklingError("a tensor is larger than its storage")
    return torch.as_strided(flat, size, stride, offset).clone()


NUMPY_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ArrayName,
    ("numpy", "dtype"): DType,
    **{
        (f"numpy.{core}.multiarray", name): function
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _reconstruct), ("scalar", _scalar))
    },
}
TORCH_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch.storage", "_load_from_bytes"): _storage_from_bytes,
}


def check_archive(data: bytes) -> None:
    """Refuse a PyTorch archive that is larger inside than outside.

    Parameters
    ----------
    data
        What `torch.load` would be given; other formats than zip pass.

    Raises
    ------
    ValueError
        If an entry is compressed (PyTorch never does that), or says that it is larger
        than the file.
    """
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("an archive with compressed parts, which PyTorch never writes")
    if sum(entry.file_size for entry in entries) > len(data):
        raise ValueError("an archive that says it is larger than its file")


# Python's own unpickler, which type checkers know too little of.
_PurePythonUnpickler: Any = pickle._Unpickler


class _Unpickler(_PurePythonUnpickler):
    """Unpickles with checks before each operation on an object."""

    def __init__(self, data: bytes, allowed: Mapping[tuple[str, str], Any]) -> None:
        super().__init__(io.BytesIO(data), encoding="latin-1")
        self._allowed = allowed
        self._callables = {id(value) for value in allowed.values()}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._allowed[module, name]
        except (KeyError, TypeError):
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which no such file needs"
            ) from None

    def _check_items(self, target: Any, kind: type, keys: list[Any]) -> None:
        if not isinstance(target, kind):
            raise pickle.UnpicklingError(f"items for a {type(target).__name__}")
        if not all(isinstance(key, _KEYS) for key in keys):
            raise pickle.UnpicklingError("a key that is neither text nor a number")

    def load_setitem(self) -> None:
        self._check_items(self.stack[-3], dict, self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        self._check_items(self.metastack[-1][-1], dict, self.stack[::2])
        super().load_setitems()

    def load_dict(self) -> None:
        self._check_items({}, dict, self.stack[::2])
        super().load_dict()

    def load_append(self) -> None:
        self._check_items(self.stack[-2], list, [])
        super().load_append()

    def load_appends(self) -> None:
        self._check_items(self.metastack[-1][-1], list, [])
        super().load_appends()

    def load_additems(self) -> None:
        self._check_items(self.metastack[-1][-1], set, self.stack)
        super().load_additems()

    def load_reduce(self) -> None:
        self._check_call(self.stack[-2], self.stack[-1])
        super().load_reduce()

    def load_newobj(self) -> None:
        self._check_call(self.stack[-2], self.stack[-1])
        super().load_newobj()

    def load_build(self) -> None:
        if not isinstance(self.stack[-2], Inert | DType | OrderedDict):
            name = type(self.stack[-2]).__name__
            raise pickle.UnpicklingError(f"a state for a {name}")
        super().load_build()

    def _check_call(self, function: Any, arguments: Any) -> None:
        if id(function) not in self._callables or not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("it calls something that cannot be called")
        if function is OrderedDict and arguments:
            # Its items would be hashed unchecked.
            raise pickle.UnpicklingError("an OrderedDict with arguments")

    dispatch = {  # noqa: RUF012 - pickle's own name
        **_PurePythonUnpickler.dispatch,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.DICT[0]: load_dict,
        pickle.APPEND[0]: load_append,
        pickle.APPENDS[0]: load_appends,
        pickle.ADDITEMS[0]: load_additems,
        pickle.REDUCE[0]: load_reduce,
        pickle.NEWOBJ[0]: load_newobj,
        pickle.BUILD[0]: load_build,
    }


def safe_load(data: bytes, allowed: Mapping[tuple[str, str], Any]) -> Any:
    """Unpickle without executing anything, in bounded time and memory.

    Parameters
    ----------
    data
        A pickle.
    allowed
        What each (module, name) stands for: functions and classes that can be called
        with any arguments, like those of `NUMPY_NAMES` and `TORCH_NAMES`.

    Returns
    -------
    Any
        Builtins, NumPy arrays, tensors, and what `allowed` makes.

    Raises
    ------
    Exception
        Of any kind, if the data is not such a pickle.
    """
    _check_opcodes(data, _OPCODES)
    return _resolve(_Unpickler(data, allowed).load(), _Budget())


def _check_opcodes(data: bytes, known: frozenset[str]) -> None:
    for number, (opcode, _, _) in enumerate(pickletools.genops(data)):
        if opcode.name not in known:
            raise pickle.UnpicklingError(f"it uses {opcode.name}")
        if number >= MAX_OPCODES:
            raise pickle.UnpicklingError(f"it has more than {MAX_OPCODES:,} operations")


class _Anything(Inert):
    """Stand-in for whatever a checkpoint names: PyTorch checks the names itself."""

    def __init__(self, *_: Any) -> None:
        """Take and ignore what the object was made of."""

    def __setstate__(self, state: Any) -> None:
        """Keep nothing."""


class _ArchiveUnpickler(_Unpickler):
    """Goes through a checkpoint's pickle without making anything of it."""

    def __init__(self, data: bytes) -> None:
        names = {("collections", "OrderedDict"): OrderedDict, ("", ""): _Anything}
        super().__init__(data, names)

    def find_class(self, module: str, name: str) -> Any:
        return self._allowed.get((module, name), _Anything)

    def persistent_load(self, _: Any) -> _Anything:
        return _Anything()


def check_checkpoint(data: bytes) -> None:
    """Refuse a checkpoint that would cost time or memory beyond its size.

    `torch.load(weights_only=True)` executes nothing, but hashes, nests and allocates
    what it is told to. This goes through the file's pickle first, with stand-ins for
    everything that it names.

    Parameters
    ----------
    data
        A file that `torch.save` wrote, in its zip format.

    Raises
    ------
    Exception
        Of any kind, if it is no such file.
    """
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ValueError("not an archive of torch.save")
    check_archive(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError("not an archive of torch.save: it has no data.pkl")
        content = archive.read(names[0])
    _check_opcodes(content, _OPCODES | {"BINPERSID"})
    _resolve(_ArchiveUnpickler(content).load(), _Budget())


class _Budget:
    def __init__(self) -> None:
        self.left = MAX_VALUES


def _resolve(value: Any, budget: _Budget, depth: int = 0) -> Any:
    """Return a value with arrays in place of their stand-ins, counting on the way."""
    budget.left -= 1
    if budget.left < 0 or depth > MAX_DEPTH:
        raise pickle.UnpicklingError("it is nested too deeply, or too large")

    def inner(part: Any) -> Any:
        return _resolve(part, budget, depth + 1)

    if isinstance(value, Array):
        if value.value is None:
            raise pickle.UnpicklingError("an array without numbers")
        return value.value
    if isinstance(value, dict):
        items = [(key, inner(part)) for key, part in value.items()]
        return OrderedDict(items) if isinstance(value, OrderedDict) else dict(items)
    if isinstance(value, list):
        return [inner(part) for part in value]
    if isinstance(value, tuple):
        return tuple(inner(part) for part in value)
    if isinstance(value, Inert):
        value.__dict__.update(
            (key, inner(part)) for key, part in list(value.__dict__.items())
        )
    return value
