"""Matching whole error messages."""

from __future__ import annotations

import re


def exactly(message: str) -> str:
    """Return a regular expression that matches a message exactly."""
    return f"^{re.escape(message)}$"
