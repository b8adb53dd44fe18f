"""Error messages, word by word."""

from __future__ import annotations

import re


def exactly(message: str) -> str:
    """Return the expression that matches a whole message."""
    return f"^{re.escape(message)}$"
