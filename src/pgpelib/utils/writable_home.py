"""A home that can be written, for the libraries that need one.

POSGGym makes a folder in the home when its agents are imported, and Snakemake, Numba
and Matplotlib keep caches there. In containers and on clusters the home can be missing
or read-only. Importing this module then gives this process, and those that it starts,
temporary folders instead, which are removed at its end. Settings in a home that can be
read stay in use. `pgpelib` and `posggym_es` import it before anything else.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
from pathlib import Path

# Settings in the home, and how programs are told that they are elsewhere.
_SETTINGS = {
    "GIT_CONFIG_GLOBAL": ".gitconfig",
    "NETRC": ".netrc",
    "XDG_CONFIG_HOME": ".config",
}


def use_writable_home() -> None:
    """Change the environment where home, cache or settings cannot be written.

    Where nothing can be written at all, it stays as it is: whoever has to write says
    what is wrong.
    """
    with contextlib.suppress(OSError):
        os.environ.update(_changes())


def _changes() -> dict[str, str]:
    """Return the variables to set; makes the folder that they name, if any."""
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
    except RuntimeError:  # The user has none, which containers allow.
        return Path("/nonexistent")


def _can_be_written(folder: Path) -> bool:
    """Return whether a folder can get files, or can be made."""
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _remove(folder: Path, owner: int) -> None:
    # Forked processes inherit what runs at exit.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


use_writable_home()
