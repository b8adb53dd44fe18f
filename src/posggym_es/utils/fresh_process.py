"""Running modules in a fresh Python process that imports posggym from a tree.

What a tree registers, and what its agents do, is only known to a process that has not
imported another posggym.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class FreshProcessError(RuntimeError):
    """A module failed; the message is all that Python wrote about it."""

    @property
    def reason(self) -> str:
        """The last line: the exception, without its traceback."""
        return str(self).splitlines()[-1]


def run_with_tree(tree: Path, module: str, *arguments: str) -> str:
    """Run a module with the posggym of a tree, and this project's packages.

    Nothing is written into the tree, bytecode included: it can be a git repository.

    Parameters
    ----------
    tree
        The folder that holds the `posggym` package.
    module
        Name of the module, as for `python -m`.
    *arguments
        Its `sys.argv[1:]`.

    Returns
    -------
    str
        What it printed.

    Raises
    ------
    FreshProcessError
        If it ended with another status than 0.
    """
    source = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={
            **os.environ,
            "PYTHONPATH": f"{tree.resolve()}{os.pathsep}{source}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    if run.returncode:
        # Killed by the system, for example, it says nothing.
        status = f"Python ended with status {run.returncode}"
        raise FreshProcessError(run.stderr.strip() or status)
    return run.stdout
