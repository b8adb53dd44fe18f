"""Safe reading of PyTorch's tensors and archives, without PyTorch.

`torch.save` writes a zip archive with a pickle and one entry per storage, or in an
older format pickles followed by the storages. `torch.load` reads both leniently, even
with `weights_only=True`: it uses the last of two directories in an archive, unpacks
compressed entries, and accepts files that are valid in two formats at once. This
module accepts only what `torch.save` writes, and accounts for each byte, so that all
readers of a file see the data that was checked here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pgpelib.foreign.safe_pickle import (
    PLAIN_NAMES,
    Budget,
    ForeignFileError,
    Machine,
    Name,
    Names,
    check_shape,
    refusing,
    resolve,
    short,
)

_STORAGE_DTYPES = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "<i1",
    "torch.ByteStorage": "<u1",
    "torch.BoolStorage": "|b1",
}
_STORAGE_NAMES: Names = {
    ("torch", name.removeprefix("torch.")): None for name in _STORAGE_DTYPES
}

_ZIP_START = b"PK\x03\x04"
# Magic number, protocol and sizes of types, which are the same on all current machines.
_LEGACY_START = (
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00(X\x10"
    b"\x00\x00\x00protocol_versionq\x01M\xe9\x03X\r\x00\x00\x00little_endianq\x02\x88X"
    b"\n\x00\x00\x00type_sizesq\x03}q\x04(X\x05\x00\x00\x00shortq\x05K\x02X\x03\x00\x00"
    b"\x00intq\x06K\x04X\x04\x00\x00\x00longq\x07K\x04uu."
)
_NOT_STORAGE = "a storage is not one that PyTorch wrote"
# Entries other than the pickle and the storages, which do not affect the result.
_EXTRAS = frozenset(
    {"version", ".format_version", ".storage_alignment", ".data/serialization_id"}
)


class Storage:
    """The flat array of numbers that tensors are views of."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers


def _rebuild_tensor(
    budget: Budget,
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    hooks: Any,
    metadata: Any = None,
) -> np.ndarray:
    """Replace `torch._utils._rebuild_tensor_v2`; return a copy of the view."""
    if not isinstance(storage, Storage) or not isinstance(requires_grad, bool):
        raise ForeignFileError("a tensor has no storage")
    if hooks or metadata:
        raise ForeignFileError("a tensor has hooks or metadata")
    flat = storage.numbers
    count = check_shape(size, len(flat))
    steps = (offset, *stride)
    if len(stride) != len(size) or any(type(s) is not int or s < 0 for s in steps):
        raise ForeignFileError("a tensor's strides do not match its shape")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if count and last >= len(flat):
        raise ForeignFileError("a tensor reaches beyond its storage")
    budget.spend_bytes(count * flat.itemsize)
    if not count:
        return np.zeros(size, flat.dtype)
    # The stride of an axis of length 1 is arbitrary, because it is never used.
    byte_steps = [
        s * flat.itemsize if n > 1 else 0 for n, s in zip(size, stride, strict=True)
    ]
    view = np.lib.stride_tricks.as_strided(flat[offset:], size, byte_steps)
    return view.copy(order="C")


def _rebuild_parameter(
    _: Budget, tensor: Any, requires_grad: Any, hooks: Any
) -> np.ndarray:
    """Replace `torch._utils._rebuild_parameter`."""
    if not isinstance(tensor, np.ndarray) or not isinstance(requires_grad, bool):
        raise ForeignFileError("a parameter is not a tensor")
    if hooks:
        raise ForeignFileError("a parameter has hooks")
    return tensor


def _storage_from_bytes(budget: Budget, data: Any) -> Storage:
    """Replace `torch.storage._load_from_bytes`, for data with a single storage."""
    if not isinstance(data, bytes):
        raise ForeignFileError("a storage does not consist of bytes")
    budget.spend_bytes(len(data))
    if data.startswith(_ZIP_START):
        storage = _load_zip(data, _STORAGE_NAMES, budget)
        if isinstance(storage, Storage):
            return storage
    elif data.startswith(_LEGACY_START):
        return _load_legacy(data, budget)
    raise ForeignFileError(_NOT_STORAGE)


TENSOR_NAMES: Names = {
    **PLAIN_NAMES,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
}
"""Names in pickles of tensors, which become NumPy arrays; without their storages."""
PICKLED_TENSOR_NAMES: Names = {
    **TENSOR_NAMES,
    ("torch.storage", "_load_from_bytes"): _storage_from_bytes,
}
"""Names in ordinary pickles of tensors, which contain their storages."""


def load_archive(data: bytes, names: Names) -> Any:
    """Read an archive in the zip format of `torch.save`, without executing anything.

    Parameters
    ----------
    data
        The archive.
    names
        Replacements of the names that it may contain, in addition to those of tensors.

    Returns
    -------
    Any
        Builtins, NumPy arrays (also for tensors), records, and objects created by
        `names`.

    Raises
    ------
    ForeignFileError
        If it is not such an archive, or exceeds a limit.
    """
    budget = Budget(len(data))
    with refusing():
        if not data.startswith(_ZIP_START):
            raise ForeignFileError("it is not an archive of torch.save")
        value = _load_zip(data, {**_STORAGE_NAMES, **TENSOR_NAMES, **names}, budget)
        return resolve(value, budget)


def _load_zip(data: bytes, names: Names, budget: Budget) -> Any:
    entries = _zip_entries(data)
    roots = {name.partition("/")[0] for name in entries}
    if len(roots) != 1:
        raise ForeignFileError("its archive is not one of torch.save")
    prefix = f"{roots.pop()}/"
    parts = {name.removeprefix(prefix): part for name, part in entries.items()}
    storages = {}
    for name, part in parts.items():
        key = name.removeprefix("data/")
        if key != name and key.isdecimal() and key.isascii():
            storages[key] = part
        elif name not in ("data.pkl", "byteorder", *_EXTRAS):
            raise ForeignFileError(f"its archive has an unknown entry {short(name)}")
    if bytes(parts.get("byteorder", b"little")) != b"little":
        raise ForeignFileError("it is from a big-endian machine")
    if "data.pkl" not in parts:
        raise ForeignFileError("its archive has no data.pkl")

    made: dict[str, Storage] = {}

    def storage(value: Any) -> Storage:
        dtype, key, count = _storage_id(value, 5)
        if key not in storages:
            raise ForeignFileError(f"its archive lacks the storage {short(key)}")
        found = _storage(storages[key], dtype, count)
        if made.setdefault(key, found).numbers.dtype != dtype:
            raise ForeignFileError("a storage has two types")
        return found

    machine = Machine(parts["data.pkl"], names, budget, storage)
    value = machine.run()
    if machine.position != len(parts["data.pkl"]):
        raise ForeignFileError("its data.pkl has data after its end")
    return value


def _load_legacy(data: bytes, budget: Budget) -> Storage:
    """Read a file in the older format that contains exactly one storage."""
    announced = []

    def storage(value: Any) -> None:
        announced.append(_storage_id(value, 6))

    start = len(_LEGACY_START)
    machine = Machine(data, _STORAGE_NAMES, budget, storage, start)
    machine.run()
    if len(announced) != 1:
        raise ForeignFileError(_NOT_STORAGE)
    ((dtype, key, count),) = announced
    keys = Machine(data, {}, budget, position=machine.position)
    if keys.run() != [key]:
        raise ForeignFileError("a storage does not have the announced key")
    start = keys.position + 8
    (length,) = struct.unpack("<q", data[keys.position : start])
    if length != count:
        raise ForeignFileError("a storage does not have the announced length")
    return _storage(memoryview(data)[start:], dtype, count)


def _storage_id(value: Any, length: int) -> tuple[np.dtype[Any], str, int]:
    """Return type, key and length of ("storage", type, key, device, length, ...)."""
    if not isinstance(value, tuple) or len(value) != length or value[0] != "storage":
        raise ForeignFileError("it has a storage that is not one of PyTorch's")
    kind, key, _, count, *view = value[1:]
    if not isinstance(kind, Name) or kind.name not in _STORAGE_DTYPES:
        raise ForeignFileError("a storage has an unknown type")
    if not isinstance(key, str) or type(count) is not int or any(view):
        raise ForeignFileError("it has a storage that is not one of PyTorch's")
    return np.dtype(_STORAGE_DTYPES[kind.name]), key, count


def _storage(data: memoryview, dtype: np.dtype[Any], count: int) -> Storage:
    if len(data) != count * dtype.itemsize:
        raise ForeignFileError("a storage does not have the announced size")
    return Storage(np.frombuffer(data, dtype))


class _Entry(NamedTuple):
    """An entry in the directory of an archive."""

    name: bytes
    flags: int
    checksum: int
    size: int
    offset: int


# Flags: sizes follow the data (in a "descriptor"), and names are UTF-8.
_DESCRIPTOR, _UTF8 = 1 << 3, 1 << 11
_NOT_ZIP = "its archive is not one of torch.save"
# What a local header has instead of sizes that an extra field (1) has, in 8 bytes.
_IN_EXTRA = 0xFFFFFFFF


def zip_entries(data: bytes) -> Mapping[str, memoryview]:
    """Return the entries of a zip archive whose entries are not compressed, by name.

    Every byte belongs to one of them or to the directory.

    Raises
    ------
    ForeignFileError
        If it is not such an archive.
    """
    with refusing():
        return _zip_entries(data)


def _zip_entries(data: bytes) -> Mapping[str, memoryview]:
    """Return the entries of a zip archive without any gaps.

    Entries must be uncompressed and follow each other from the first byte on, followed
    by the directory and its end record. Then readers that start at the front and
    readers that start at the back see the same entries.
    """
    entries, directory_start = _directory(data)
    view = memoryview(data)
    found: dict[str, memoryview] = {}
    position = 0
    ends = [*(entry.offset for entry in entries[1:]), directory_start]
    for entry, end in zip(entries, ends, strict=True):
        part = _entry_data(view, entry, position, end)
        if zlib.crc32(part) != entry.checksum:
            raise ForeignFileError("its archive is damaged: a checksum is wrong")
        name = entry.name.decode("ascii")
        if name in found:
            raise ForeignFileError(f"its archive has two entries {short(name)}")
        found[name] = part
        position = end
    return found


def _directory(data: bytes) -> tuple[list[_Entry], int]:
    """Return the entries in order of their offsets, and the directory's offset."""
    end = len(data) - 22
    _require(end >= 0)
    magic, *disks, count, size, start, comment = struct.unpack_from(
        "<4s4H2IH", data, end
    )
    _require(magic == b"PK\x05\x06" and not any(disks[:2]) and not comment)
    _require(disks[2] == count)
    if data[max(end - 20, 0) : end].startswith(b"PK\x06\x07"):
        # The zip64 records, which PyTorch always writes in addition: both must agree.
        end -= 76
        _require(end >= 0)
        large = struct.unpack_from("<4sQ2H2I4Q", data, end)
        locator = struct.unpack_from("<4sIQI", data, end + 56)
        _require(large[:2] == (b"PK\x06\x06", 44) and large[4:6] == (0, 0))
        _require(large[6:] == (count, count, size, start))
        _require(locator[1:] == (0, end, 1))
    _require(start + size == end)
    entries = []
    position = start
    for _ in range(count):
        _require(position + 46 <= end)
        fields = struct.unpack_from("<4s6H3I5H2I", data, position)
        flags, method, checksum, packed, unpacked = fields[3:5] + fields[7:10]
        name_size, extra, remark, disk = fields[10:14]
        _require(fields[0] == b"PK\x01\x02" and extra == remark == disk == 0)
        if method or packed != unpacked:
            raise ForeignFileError(
                "its archive has compressed parts, which PyTorch never writes"
            )
        _require(not flags & ~(_DESCRIPTOR | _UTF8))
        name = data[position + 46 : position + 46 + name_size]
        entries.append(_Entry(name, flags, checksum, unpacked, fields[16]))
        position += 46 + name_size
    _require(position == end)
    return sorted(entries, key=lambda entry: entry.offset), start


def _entry_data(view: memoryview, entry: _Entry, start: int, end: int) -> memoryview:
    """Return the data of an entry that occupies the bytes from `start` to `end`."""
    _require(entry.offset == start and start + 30 <= end)
    fields = struct.unpack_from("<4s5H3I2H", view, start)
    flags, method, name_size, extra = fields[2], fields[3], fields[9], fields[10]
    _require(fields[0] == _ZIP_START and (flags, method) == (entry.flags, 0))
    first = start + 30 + name_size
    _require(view[start + 30 : first] == entry.name)
    first += extra
    last = first + entry.size
    if flags & _DESCRIPTOR:
        # The descriptor's sizes have 4 or 8 bytes.
        _require(end - last in (16, 24) and view[last : last + 4] == b"PK\x07\x08")
    else:
        sizes = fields[7:9]
        if sizes == (_IN_EXTRA, _IN_EXTRA) and extra == 20:
            large = struct.unpack_from("<2H2Q", view, first - extra)
            _require(large[:2] == (1, 16))
            sizes = large[2:]
        _require(last == end and fields[6] == entry.checksum)
        _require(sizes == (entry.size, entry.size))
    return view[first:last]


def _require(condition: bool) -> None:
    if not condition:
        raise ForeignFileError(_NOT_ZIP)
