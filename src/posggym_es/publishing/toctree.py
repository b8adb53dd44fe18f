"""Editing MyST `toctree` directives, which list pages of POSGGym's documentation."""

from __future__ import annotations

import re

_DIRECTIVE = re.compile(
    r"^```\{toctree\}\r?\n(?P<body>.*?)^```\s*?$", re.MULTILINE | re.DOTALL
)


def add_entry(text: str, entry: str) -> str:
    """Add an entry to a page's toctree, in alphabetical order.

    The entry goes into the first toctree with entries of the same folder, or into the
    first toctree if there is none. It is inserted among the entries at the end that are
    in alphabetical order. The rest of the page does not change, and neither does a page
    that already has the entry.

    Raises
    ------
    ValueError
        If the page has no toctree.
    """
    directives = list(_DIRECTIVE.finditer(text))
    if not directives:
        raise ValueError("the page has no toctree")
    if has_entry(text, entry):
        return text
    folder = entry.rpartition("/")[0]
    own = [
        found
        for found in directives
        if any(e.rpartition("/")[0] == folder for e in _entries(found["body"]))
    ]
    found = (own or directives)[0]
    lines = found["body"].splitlines(keepends=True)
    places = [i for i, line in enumerate(lines) if _is_entry(line)]
    if places:
        place = places[-1] + 1
    else:
        # After the options and the empty line that follows them.
        empty = [i for i, line in enumerate(lines) if not line.strip()]
        place = empty[0] + 1 if empty else len(lines)
    for i, following in zip(reversed(places), [None, *reversed(places)], strict=False):
        in_order = following is None or lines[i].strip() < lines[following].strip()
        if not in_order or lines[i].strip() < entry:
            break
        place = i
    ending = "\r\n" if "\r\n" in found[0] else "\n"
    lines.insert(place, f"{entry}{ending}")
    return text[: found.start("body")] + "".join(lines) + text[found.end("body") :]


def has_entry(text: str, entry: str) -> bool:
    """Return whether any toctree of a page has an entry."""
    return any(entry in _entries(found["body"]) for found in _DIRECTIVE.finditer(text))


def neighbours_ending(text: str, entry: str) -> str:
    """Return the ending, ".md" or "", of most entries in the same folder.

    Sphinx accepts both. If there are no such entries, it is ".md".
    """
    folder = entry.rpartition("/")[0]
    endings = [
        ".md" if other.endswith(".md") else ""
        for found in _DIRECTIVE.finditer(text)
        for other in _entries(found["body"])
        if other.rpartition("/")[0] == folder
    ]
    return max(endings, key=endings.count, default=".md")


def remove_entry(text: str, entry: str) -> str:
    """Remove an entry from a page, the inverse of `add_entry`."""
    for found in _DIRECTIVE.finditer(text):
        lines = found["body"].splitlines(keepends=True)
        kept = [line for line in lines if line.strip() != entry]
        if len(kept) < len(lines):
            return (
                text[: found.start("body")] + "".join(kept) + text[found.end("body") :]
            )
    return text


def _is_entry(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(":")


def _entries(body: str) -> list[str]:
    return [line.strip() for line in body.splitlines() if _is_entry(line)]
