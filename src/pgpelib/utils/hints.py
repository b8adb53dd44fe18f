"""What to propose for a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


def did_you_mean(
    name: str, known: Iterable[str], shown: Callable[[str], str] = str
) -> str:
    """Return the end of a message: the closest known name, or nothing without one.

    Parameters
    ----------
    name
        What was given.
    known
        What is there.
    shown
        How to write the proposal; `repr` quotes it.
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {shown(close[0])}?" if close else ""
