"""Suggestions for misspelled names."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable


def did_you_mean(
    name: str, known: Iterable[str], formatter: Callable[[str], str] = str
) -> str:
    """Return "; did you mean ...?" with the closest known name, or "" if none is close.

    Parameters
    ----------
    name
        The unknown name.
    known
        All known names.
    formatter
        Formats the suggested name; `repr` quotes it.
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {formatter(close[0])}?" if close else ""
