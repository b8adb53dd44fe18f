"""The version of this project that computes a result."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

# What results depend on. The config is left out, because results contain it.
CODE = (
    "src",
    "workflow",
    "rules",
    "Snakefile",
    "envs",
    "pyproject.toml",
    "requirements.lock",
)


@functools.cache
def source_commit() -> str | None:
    """Return the commit of this project's checkout, or None outside of one.

    Uncommitted changes to tracked code add "-dirty"; changes to the config or the
    documentation do not. The checkout may belong to another user, which Git would
    refuse by default: its code is running already.
    """
    return commit_of(Path(__file__).resolve().parents[3])


def commit_of(project: Path) -> str | None:
    """Return the commit of a checkout of this project, see `source_commit`.

    Parameters
    ----------
    project
        The checkout's root. A folder within another repository is not a checkout.
    """
    if not (project / ".git").exists():
        return None
    commit = _git(project, "rev-parse", "--short", "HEAD")
    if commit is None:
        return None
    changed = _git(project, "diff", "--name-only", "HEAD", "--", *CODE)
    return f"{commit}-dirty" if changed else commit


def _git(project: Path, *arguments: str) -> str | None:
    """Return Git's output, or None if it fails or prints nothing."""
    try:
        run = subprocess.run(
            ["git", "-c", f"safe.directory={project}", "-C", project, *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip() or None
