"""Which version of this project computes."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path


@functools.cache
def source_commit() -> str | None:
    """Return the commit of this project's checkout, None outside of one.

    Uncommitted changes of tracked files add "-dirty".
    """
    folder = Path(__file__).resolve().parent
    try:
        run = subprocess.run(
            ["git", "-C", folder, "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
        )
    except OSError:
        return None
    return run.stdout.strip() or None
