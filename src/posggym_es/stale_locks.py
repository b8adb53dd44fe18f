"""Locks that a killed Snakemake left behind.

Snakemake locks its folder, and a Snakemake that is killed leaves the lock: the same
command then needs `--unlock` first. Whether the lock's owner is alive cannot be seen
from it, so each Snakemake of this project also holds a lock of the operating system,
which ends with the process.
"""

from __future__ import annotations

import fcntl
import shutil
import socket
from pathlib import Path
from typing import IO


def claim_folder(folder: Path) -> IO[str] | None:
    """Remove locks of dead processes, and mark this one as alive.

    Nothing is removed where another Snakemake is alive, or where the last one ran on
    another machine: not every network file system tells machines of each other's locks.

    Parameters
    ----------
    folder
        Where Snakemake works.

    Returns
    -------
    file or None
        Keep it open for as long as the process works here; None if the file system
        knows no locks.
    """
    path = folder / ".snakemake" / "alive"
    try:
        path.parent.mkdir(exist_ok=True)
        file = path.open("a+")
    except OSError:
        # A folder that cannot be written has no locks either.
        return None
    try:
        # All share it; who has it alone is the only one alive.
        fcntl.flock(file, fcntl.LOCK_SH)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(file, fcntl.LOCK_SH)
        return file
    except OSError:
        file.close()
        return None
    file.seek(0)
    if file.read() == socket.gethostname():
        shutil.rmtree(folder / ".snakemake" / "locks", ignore_errors=True)
    file.truncate(0)
    file.write(socket.gethostname())
    file.flush()
    fcntl.flock(file, fcntl.LOCK_SH)
    return file
