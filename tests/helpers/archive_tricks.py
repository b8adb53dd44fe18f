"""PyTorch archives that readers interpret differently, or that hide data."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import PurePosixPath

import torch

from pickle_bombs import Bomb

NOT_SAVED = "archive is not one of torch.save"


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def parts_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(contents: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as target:
        for name, content in contents.items():
            target.writestr(name, content)
    return buffer.getvalue()


def with_pickle(data: bytes, content: bytes) -> bytes:
    """Return an archive with another pickle in it."""
    parts = parts_of(data)
    (name,) = [name for name in parts if name.endswith("data.pkl")]
    return archive({**parts, name: content})


def tricks(data: bytes) -> dict[str, Bomb]:
    """Return variants of an archive that torch.save did not write.

    Parameters
    ----------
    data
        An archive that it did write.
    """
    parts = parts_of(data)
    root = next(iter(parts)).partition("/")[0]
    pickle_name = f"{root}/data.pkl"
    rewritten = archive(parts)
    other = archive({f"{root}/data.pkl": b"\x80\x02N."})
    zeros = {**parts, f"{root}/data/0": bytes(200 * 2**20)}
    without = {k: v for k, v in parts.items() if k != pickle_name}
    return {
        "deflated": Bomb(archive(parts, zipfile.ZIP_DEFLATED), "compressed parts"),
        "deflated_zeros": Bomb(archive(zeros, zipfile.ZIP_DEFLATED), "compressed"),
        "bzip2": Bomb(archive(parts, zipfile.ZIP_BZIP2), "compressed parts"),
        "empty": Bomb(archive({}), "not an archive|not one of torch.save"),
        "no_pickle": Bomb(archive(without), "no data.pkl"),
        "two_roots": Bomb(archive({**parts, "other/data.pkl": b"N."}), NOT_SAVED),
        # torch.load would hand this one to the reader of compiled modules.
        "torchscript": Bomb(
            archive({**parts, f"{root}/constants.pkl": b"N."}), "unknown entry"
        ),
        "code": Bomb(archive({**parts, f"{root}/code/a.py": b""}), "unknown entry"),
        # The last directory, or the first one?
        "two_archives": Bomb(rewritten + other, NOT_SAVED),
        "two_directories": Bomb(two_directories(rewritten), NOT_SAVED),
        "hidden_start": Bomb(shifted(rewritten, b"PK\x03\x04" + bytes(60)), NOT_SAVED),
        "trailing_bytes": Bomb(data + b"\x00", NOT_SAVED),
        "comment": Bomb(with_comment(rewritten), NOT_SAVED),
        "same_name_twice": Bomb(same_name_twice(rewritten), "two entries"),
        "overlap": Bomb(overlapping(rewritten), NOT_SAVED),
        "wrong_checksum": Bomb(damaged_number(data), "a checksum is wrong"),
        "big_endian": Bomb(
            archive({**parts, f"{root}/byteorder": b"big"}), "big-endian"
        ),
        "pickle_goes_on": Bomb(
            archive({**parts, pickle_name: parts[pickle_name] + b"N."}),
            "has data after",
        ),
        **{
            f"{change}_{PurePosixPath(name).name}": Bomb(archive(contents), reason)
            for name in [name for name in parts if "/data/" in name][:8]
            for change, contents, reason in (
                ("without", {k: v for k, v in parts.items() if k != name}, "lacks the"),
                ("short", {**parts, name: parts[name][:-1]}, "announced size"),
                ("long", {**parts, name: parts[name] + b"\0"}, "announced size"),
            )
        },
    }


_END = struct.Struct("<4s4H2IH")


def _split(data: bytes) -> tuple[bytes, bytes, list[int]]:
    """Return the entries, directory and end record of a small archive."""
    numbers = list(_END.unpack(data[-22:])[1:])
    start = numbers[5]
    return data[:start], data[start:-22], numbers


def _joined(entries: bytes, directory: bytes, numbers: list[int]) -> bytes:
    numbers[4:6] = len(directory), len(entries)
    return entries + directory + _END.pack(b"PK\x05\x06", *numbers)


def two_directories(data: bytes) -> bytes:
    entries, directory, numbers = _split(data)
    return _joined(entries + directory, directory, numbers)


def shifted(data: bytes, start: bytes) -> bytes:
    """Return an archive with other bytes before its entries, and correct offsets."""
    entries, directory, numbers = _split(data)
    moved, position = bytearray(directory), 0
    while position < len(moved):
        offset = struct.unpack_from("<I", moved, position + 42)[0] + len(start)
        struct.pack_into("<I", moved, position + 42, offset)
        position += 46 + struct.unpack_from("<H", moved, position + 28)[0]
    return _joined(start + entries, bytes(moved), numbers)


def with_comment(data: bytes) -> bytes:
    return data[:-2] + b"\x04\x00" + b"PK\x05\x06"


def same_name_twice(data: bytes) -> bytes:
    """Return an archive with two copies of all entries."""
    entries, directory, numbers = _split(data)
    later = _split(shifted(data, entries))[1]
    numbers[2:4] = [2 * numbers[2]] * 2
    return _joined(entries + entries, directory + later, numbers)


def overlapping(data: bytes) -> bytes:
    """Return an archive whose second entry is its first one."""
    entries, directory, numbers = _split(data)
    moved = bytearray(directory)
    second = 46 + struct.unpack_from("<H", moved, 28)[0]
    struct.pack_into("<I", moved, second + 42, 0)
    return _joined(entries, bytes(moved), numbers)


def damaged_number(data: bytes) -> bytes:
    """Return an archive one of whose storages has another number."""
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        (entry,) = [e for e in whole.infolist() if e.filename.endswith("/data/0")]
    name, extra = struct.unpack_from("<2H", data, entry.header_offset + 26)
    at = entry.header_offset + 30 + name + extra
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
