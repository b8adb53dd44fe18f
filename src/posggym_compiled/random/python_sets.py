"""CPython's sets: the order in which their elements come.

POSGGym draws from `list(some_set)` and pops from sets, so its episodes depend on that
order. Within a set, it is that of CPython's hash table.

A set of the integers 0 to n - 1 is an int64 array: a header of four numbers (table size
minus 1; used and dummy slots; elements; where `pop` begins to look), the slots, and
as much room for moving them when the table grows.
A slot holds an element plus 1, 0 where it has never been used, and -1 where an element
has been removed. Elements stand for Python objects, whose hashes are in a table of
their own (`hashes[element]`), made by Python's `hash`.

Source: `Objects/setobject.c` of CPython 3.11 and 3.12.
"""

from __future__ import annotations

import ctypes
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from posggym_compiled.jit import lean_helper

Set = npt.NDArray[np.int64]

_MASK, _FILL, _USED, _FINGER, _HEADER = 0, 1, 2, 3, 4
_SMALLEST = 8
_LINEAR_PROBES = 9
_PERTURB_SHIFT = 5
_DUMMY = -1


def hashes_of(elements: Sequence[Hashable]) -> Set:
    """Return Python's hashes of the objects that elements 0, 1, ... stand for."""
    return np.array([hash(element) for element in elements], np.int64)


class _Entry(ctypes.Structure):
    _fields_ = [("key", ctypes.c_void_p), ("hash", ctypes.c_ssize_t)]  # noqa: RUF012


class _SetObject(ctypes.Structure):
    """The beginning of CPython's `PySetObject`."""

    _fields_ = [  # noqa: RUF012
        ("head", ctypes.c_char * object.__basicsize__),
        ("fill", ctypes.c_ssize_t),
        ("used", ctypes.c_ssize_t),
        ("mask", ctypes.c_ssize_t),
        ("table", ctypes.POINTER(_Entry)),
        ("hash", ctypes.c_ssize_t),
        ("finger", ctypes.c_ssize_t),
    ]


def set_of(python_set: set[Any], numbers: Mapping[Any, int], length: int) -> Set:
    """Return the array of a Python set as it is in memory, with its used slots.

    How a set was built decides its order when it is copied or changed, and Python
    shows nothing of that but the present order.

    Parameters
    ----------
    python_set
        A set that nobody changes meanwhile.
    numbers
        The number that stands for each of its elements.
    length
        Length of the array, from `set_length`.
    """
    raw = _SetObject.from_address(id(python_set))
    by_address = {id(element): numbers[element] for element in python_set}
    out = np.zeros(length, np.int64)
    out[:_HEADER] = raw.mask, raw.fill, raw.used, raw.finger
    for i in range(raw.mask + 1):
        key = raw.table[i].key
        if key is not None:
            out[_HEADER + i] = by_address[key] + 1 if key in by_address else _DUMMY
    return out


def set_length(elements: int) -> int:
    """Return the length of the array of a set that holds up to so many elements."""
    # A table grows once three fifths are full, to the power of 2 above four times the
    # elements, or above twice the elements of two sets that are joined.
    size = _SMALLEST
    while size <= 4 * max(elements, 1):
        size *= 2
    return _HEADER + 2 * size


_PRIME_1 = np.uint64(11400714785074694791)
_PRIME_2 = np.uint64(14029467366897019727)
_PRIME_5 = np.uint64(2870177450012600261)


@lean_helper
def _mix(total: np.uint64, item: int) -> np.uint64:
    total += np.uint64(item) * _PRIME_2
    total = (total << np.uint64(31)) | (total >> np.uint64(33))
    return total * _PRIME_1


@lean_helper
def _finish(total: np.uint64, length: int) -> int:
    total += np.uint64(length) ^ (_PRIME_5 ^ np.uint64(3527539))
    return 1546275796 if total == ~np.uint64(0) else int(np.int64(total))


@lean_helper
def hash_pair(x: int, y: int) -> int:
    """Return Python's hash of a tuple of two objects with these hashes.

    That of a small integer that is not negative is the integer. Source: CPython's
    `tupleobject.c`, which uses Collet's xxHash.
    """
    return _finish(_mix(_mix(_PRIME_5, x), y), 2)


@lean_helper
def hash_triple(x: int, y: int, z: int) -> int:
    """Return Python's hash of a tuple of three objects with these hashes."""
    return _finish(_mix(_mix(_mix(_PRIME_5, x), y), z), 3)


@lean_helper
def clear(s: Set) -> None:
    """Make a set empty, as a new one."""
    s[_MASK] = _SMALLEST - 1
    s[_FILL] = 0
    s[_USED] = 0
    s[_FINGER] = 0
    s[_HEADER : _HEADER + _SMALLEST] = 0


@lean_helper
def _find(s: Set, hashes: Set, element: int) -> tuple[int, int]:
    """Return the index of an element's slot, or of the unused one where it belongs.

    The second number is the last slot on the way there from which an element has been
    removed, or 0: that is where CPython puts a new element.
    """
    mask = s[_MASK]
    perturb = np.uint64(hashes[element])
    i = np.int64(perturb & np.uint64(mask))
    free = 0
    while True:
        probes = _LINEAR_PROBES if i + _LINEAR_PROBES <= mask else 0
        for j in range(_HEADER + i, _HEADER + i + probes + 1):
            slot = s[j]
            if slot == 0 or slot == element + 1:
                return j, free
            if slot == _DUMMY:
                free = j
        perturb >>= np.uint64(_PERTURB_SHIFT)
        following = np.uint64(i) * np.uint64(5) + np.uint64(1) + perturb
        i = np.int64(following & np.uint64(mask))


@lean_helper
def _resize(s: Set, hashes: Set, minimum: int) -> None:
    size = _SMALLEST
    while size <= minimum:
        size *= 2
    slots = s[_MASK] + 1
    spare = (len(s) + _HEADER) // 2
    for i in range(slots):
        s[spare + i] = s[_HEADER + i]
    s[_MASK] = size - 1
    s[_FILL] = s[_USED]
    s[_HEADER : _HEADER + size] = 0
    for i in range(spare, spare + slots):
        if s[i] > 0:
            s[_find(s, hashes, s[i] - 1)[0]] = s[i]


@lean_helper
def contains(s: Set, hashes: Set, element: int) -> bool:
    """Return whether an element is in a set."""
    return s[_find(s, hashes, element)[0]] != 0


@lean_helper
def add(s: Set, hashes: Set, element: int) -> None:
    """Add an element, as `s.add(element)`."""
    slot, free = _find(s, hashes, element)
    if s[slot] != 0:
        return
    s[_USED] += 1
    if free:
        s[free] = element + 1
    else:
        s[slot] = element + 1
        s[_FILL] += 1
        if s[_FILL] * 5 >= s[_MASK] * 3:
            _resize(s, hashes, s[_USED] * 4)


@lean_helper
def discard(s: Set, hashes: Set, element: int) -> None:
    """Remove an element that may be there, as `s.discard(element)`."""
    slot = _find(s, hashes, element)[0]
    if s[slot] != 0:
        s[slot] = _DUMMY
        s[_USED] -= 1


@lean_helper
def pop(s: Set) -> int:
    """Remove and return an element of a set that is not empty, as `s.pop()`."""
    i = s[_FINGER] & s[_MASK]
    while s[_HEADER + i] <= 0:
        i = i + 1 if i < s[_MASK] else 0
    element = s[_HEADER + i] - 1
    s[_HEADER + i] = _DUMMY
    s[_USED] -= 1
    s[_FINGER] = i + 1
    return element


@lean_helper
def elements(s: Set, out: npt.NDArray[np.int64]) -> int:
    """Write a set's elements in their order, and return their number."""
    count = 0
    for i in range(_HEADER, _HEADER + s[_MASK] + 1):
        if s[i] > 0:
            out[count] = s[i] - 1
            count += 1
    return count


@lean_helper
def update(s: Set, hashes: Set, other: Set) -> None:
    """Add the elements of another set, as `s.update(other)`; `set(other)` if empty."""
    if other[_USED] == 0:
        return
    if (s[_FILL] + other[_USED]) * 5 >= s[_MASK] * 3:
        _resize(s, hashes, (s[_USED] + other[_USED]) * 2)
    same = s[_MASK] == other[_MASK] and other[_FILL] == other[_USED]
    if s[_FILL] == 0 and same:
        s[_FILL] = s[_USED] = other[_USED]
        for i in range(_HEADER, _HEADER + s[_MASK] + 1):
            s[i] = other[i]
        return
    clean = s[_FILL] == 0
    for i in range(_HEADER, _HEADER + other[_MASK] + 1):
        if other[i] > 0:
            if clean:
                s[_find(s, hashes, other[i] - 1)[0]] = other[i]
            else:
                add(s, hashes, other[i] - 1)
    if clean:
        s[_FILL] = s[_USED] = other[_USED]


@lean_helper
def drop_dummies(s: Set, hashes: Set) -> None:
    """Do what CPython does at the end of removing elements by `difference_update`."""
    if s[_FILL] - s[_USED] > s[_MASK] // 4:
        _resize(s, hashes, s[_USED] * 4)


@lean_helper
def difference(s: Set, hashes: Set, other: Set, out: Set) -> None:
    """Write the elements of a set that another lacks, as `s.difference(other)`."""
    clear(out)
    if s[_USED] >> 2 > other[_USED]:
        update(out, hashes, s)
        for i in range(_HEADER, _HEADER + other[_MASK] + 1):
            if other[i] > 0:
                discard(out, hashes, other[i] - 1)
        drop_dummies(out, hashes)
        return
    for i in range(_HEADER, _HEADER + s[_MASK] + 1):
        if s[i] > 0 and not contains(other, hashes, s[i] - 1):
            add(out, hashes, s[i] - 1)
