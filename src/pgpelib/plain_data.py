"""Values that YAML, JSON and settings share: text, numbers, true, false and null."""

from __future__ import annotations

import math
import re
from typing import Any

# Seeds, sizes and counts fit; what does not fit cannot be written as JSON everywhere.
_MAX_INTEGER = 2**63 - 1
# Surrogates cannot be encoded, and no path or argument may hold NUL.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def is_integer(value: Any) -> bool:
    """Return whether a value is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
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
