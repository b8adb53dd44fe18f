"""Provides a writable home directory to libraries that need one.

Importing POSGGym's agents creates a folder in the home directory, and Snakemake, Numba
and Matplotlib keep caches there. In containers and on clusters, the home directory may
be missing or read-only. In that case, importing this module replaces it with temporary
folders, for this process and its children, which are removed when the process exits.
Settings in a readable home directory remain in use. `pgpelib` and `posggym_es` import
this module before anything else.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

# Variables that locate settings in the home directory, and their default places.
_SETTINGS = {
    "GIT_CONFIG_GLOBAL": ".gitconfig",
    "NETRC": ".netrc",
    "XDG_CONFIG_HOME": ".config",
}


def use_writable_home() -> None:
    """Set environment variables if the home, cache or config folder is not writable.

    If not even temporary folders can be created, nothing changes: code that needs to
    write a file will raise an error.
    """
    with contextlib.suppress(OSError):
        os.environ.update(_changes())


def _changes() -> dict[str, str]:
    """Return the variables to set, after creating the folders that they name."""
    home = _home()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    names = {"HOME": home, "XDG_CACHE_HOME": cache, "MPLCONFIGDIR": settings}
    if os.environ.get("MPLCONFIGDIR"):
        del names["MPLCONFIGDIR"]
    missing = [name for name, folder in names.items() if not _can_be_written(folder)]
    if not missing:
        return {}
    temporary = Path(tempfile.mkdtemp(prefix="home-"))
    atexit.register(_remove, temporary, os.getpid())
    changes = {name: str(temporary / name.lower()) for name in missing}
    for folder in changes.values():
        Path(folder).mkdir()
    if "HOME" in missing:
        for name, part in _SETTINGS.items():
            if not os.environ.get(name) and os.access(home / part, os.R_OK):
                changes[name] = str(home / part)
    return changes


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # In containers, users may not have a home directory.
        return Path("/nonexistent")


def _can_be_written(folder: Path) -> bool:
    """Return whether a folder is writable, or can be created."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _remove(folder: Path, owner: int) -> None:
    # Forked processes inherit the exit handler.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


use_writable_home()
