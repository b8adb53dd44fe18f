"""Errors as messages."""

from __future__ import annotations


def message_of(error: Exception) -> str:
    """Return an error's message without the number of a system error."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)
