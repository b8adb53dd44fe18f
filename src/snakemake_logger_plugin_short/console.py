"""Lines for people, with a status below them on a terminal."""

from __future__ import annotations

import os
from typing import TextIO

# Back to the beginning of the line; and what is there is erased.
_BEGIN, _ERASE = "\r", "\033[K"

# Of a terminal that does not tell.
_COLUMNS = 80


class Console:
    """Prints lines; on a terminal, one more that is drawn anew again and again.

    Parameters
    ----------
    stream
        Where to print.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._status = ""

    def line(self, text: str) -> None:
        """Print a line, above the status."""
        self._write((_ERASE if self._status else "") + text + "\n")
        self._draw()

    def status(self, text: str) -> None:
        """Replace the status; an empty text removes it."""
        if self._is_terminal and (text or self._status):
            self._status = text
            self._draw(_ERASE)

    def _draw(self, before: str = "") -> None:
        shown = ""
        if self._status:
            columns = os.get_terminal_size(self._stream.fileno()).columns
            # The cursor stays at the beginning: what other programs print comes first.
            shown = self._status[: (columns or _COLUMNS) - 1] + _BEGIN
        self._write(before + shown)

    def _write(self, text: str) -> None:
        if text:
            self._stream.write(text)
            self._stream.flush()
