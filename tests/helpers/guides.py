"""The code blocks of the README and the guides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Generated from the command lines themselves.
GENERATED = "docs/commands.md"
GUIDES = (
    *("README.md", "CONTRIBUTING.md", "config/README.md"),
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)


def blocks(language: str, guides: Sequence[str] = GUIDES) -> list[str]:
    """Return the code blocks in a language, in order."""
    text = "\n".join(
        (ROOT / guide).read_text() for guide in guides if guide != GENERATED
    )
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Return the commands of the shell blocks, without comments, each once."""
    text = "\n".join(blocks("bash")).replace("\\\n", "")
    found = [re.split(r"\s#\s", line)[0].strip() for line in text.splitlines()]
    return list(dict.fromkeys(filter(None, (re.sub(r"\s+", " ", c) for c in found))))
