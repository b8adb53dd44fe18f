"""Locks on files, which the system drops when a process ends in whatever way.

The package filelock opens what it looks at for writing. These can be asked about by
users who may only read a folder, and say so where a file system has no locks.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO

# Seconds to wait: whoever asks `is_locked` holds the lock for a moment.
TIMEOUT = 1.0


class LockedError(RuntimeError):
    """Another process holds the lock."""


def acquire(path: Path) -> tuple[IO[bytes], bool]:
    """Lock a file for as long as it is open.

    Parameters
    ----------
    path
        The lock file; made if it does not exist.

    Returns
    -------
    tuple of file and bool
        The open file; False if its file system has no locks.

    Raises
    ------
    LockedError
        If another process holds the lock.
    """
    file = path.open("wb")
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file, True
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                raise LockedError(f"{path}: another process holds the lock") from None
            time.sleep(0.05)
        except OSError:
            return file, False


def is_locked(path: Path) -> bool:
    """Return whether a process holds a lock; False where there are no locks."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            # Shared, and for no longer than this: whoever wants the lock asks again.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
