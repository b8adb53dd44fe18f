"""Values that YAML, JSON and settings share: text, numbers, true, false and null."""

from __future__ import annotations

import math
import re
from typing import Any, TypeGuard

import numpy as np

# Seeds, sizes and counts fit; what does not fit cannot be written as JSON everywhere.
_MAX_INTEGER = 2**63 - 1
# Surrogates cannot be encoded, and no path or argument may hold NUL.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def is_integer(value: Any) -> TypeGuard[int]:
    """Return whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether a value is a finite number; true and false are none."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def scalar_mistake(value: Any) -> str | None:
    """Return why a value cannot stand in YAML and JSON alike; None if it can.

    Parameters
    ----------
    value
        Anything but a list or a mapping.
    """
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        too_large = abs(value) > _MAX_INTEGER
        return "a whole number of more than 64 bits" if too_large else None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not a finite number"
    if isinstance(value, str):
        match = _NO_TEXT.search(value)
        return f"text with the character {match[0]!a}" if match else None
    return f"a {type(value).__name__} is neither text, a number, true, false nor null"


def is_line(value: Any) -> TypeGuard[str]:
    """Return whether a value is text of one line, as names are."""
    return isinstance(value, str) and value.isprintable()


def plain(value: Any, name: str) -> Any:
    """Return a value as builtins that JSON can hold; tuples become lists.

    Parameters
    ----------
    value
        Numbers, text, None, and lists, tuples and dictionaries of them. Numbers may be
        infinite or NaN, as returns are.
    name
        What to call the value in errors.

    Raises
    ------
    ValueError
        If it is or holds anything else, or a key that is not text of one line.
    """
    if isinstance(value, dict):
        for key in value:
            if not is_line(key):
                raise ValueError(f"{name} has the key {str(key)[:60]!r}, not a name")
        return {key: plain(part, f"{name}.{key}"[:100]) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, name) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    mistake = None if isinstance(value, float) else scalar_mistake(value)
    if mistake is not None:
        raise ValueError(f"{name}: {mistake}")
    return value
