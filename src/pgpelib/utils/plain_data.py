"""Checks for values that both YAML and JSON have: text, numbers, booleans and null."""

from __future__ import annotations

import math
import re
from typing import Any, TypeGuard

import numpy as np

# Larger integers are not portable in JSON, and no seed, size or count needs them.
_MAX_INTEGER = 2**63 - 1
# Surrogates cannot be encoded, and paths and arguments cannot contain NUL.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def is_integer(value: Any) -> TypeGuard[int]:
    """Return whether a value is an integer, and not a boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[int | float]:
    """Return whether a value is a finite number, and not a boolean."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def scalar_mistake(value: Any) -> str | None:
    """Return why a value is not valid in both YAML and JSON, or None if it is.

    Parameters
    ----------
    value
        Anything except a list or a mapping.
    """
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        too_large = abs(value) > _MAX_INTEGER
        return "an integer of more than 64 bits" if too_large else None
    if isinstance(value, float):
        return None if math.isfinite(value) else f"{value} is not a finite number"
    if isinstance(value, str):
        match = _NO_TEXT.search(value)
        return f"text with the character {match[0]!a}" if match else None
    return f"a {type(value).__name__} is neither text, a number, true, false nor null"


def is_line(value: Any) -> TypeGuard[str]:
    """Return whether a value is a single line of text."""
    return isinstance(value, str) and value.isprintable()


def plain(value: Any, name: str) -> Any:
    """Convert a value to builtins that JSON can represent; tuples become lists.

    Parameters
    ----------
    value
        Numbers, text, None, or lists, tuples and dictionaries of them. Numbers may be
        infinite or NaN, because returns can be.
    name
        Name of the value in error messages.

    Raises
    ------
    ValueError
        If the value contains anything else, or a key is not a single line of text.
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
