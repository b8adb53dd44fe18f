"""Running modules in a fresh Python process that imports posggym from a given tree.

A fresh process is needed because a process that has already imported posggym cannot
import another one.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path


class FreshProcessError(RuntimeError):
    """A module failed; the message is its standard error output."""

    @property
    def reason(self) -> str:
        """The last line of the output: the exception, without its traceback."""
        return str(self).splitlines()[-1]


def run_with_tree(tree: Path, module: str, *arguments: str) -> str:
    """Run a module with the posggym of a tree and this project's packages.

    Nothing is written to the tree, not even bytecode, because it can be a git
    repository.

    Parameters
    ----------
    tree
        The folder that contains the `posggym` package.
    module
        Name of the module, as for `python -m`.
    *arguments
        Command-line arguments of the module.

    Returns
    -------
    str
        The module's standard output.

    Raises
    ------
    FreshProcessError
        If the exit status is not 0.
    """
    source = Path(__file__).resolve().parents[2]
    run = subprocess.run(
        [sys.executable, "-m", __name__, module, *arguments],
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
        # The output is empty if, for example, the system killed the process.
        status = f"Python exited with status {run.returncode}"
        raise FreshProcessError(run.stderr.strip() or status)
    return run.stdout


if __name__ == "__main__":
    import pgpelib.utils.quick_start  # noqa: F401

    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
