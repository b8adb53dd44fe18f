"""File locks, which the operating system releases when their process ends.

Unlike the filelock package, this module can test a lock without write permission, and
reports file systems that do not support locks.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO

# Seconds to retry, because `is_locked` briefly holds the lock itself.
TIMEOUT = 1.0


class LockedError(RuntimeError):
    """The lock is held by another process."""


def acquire(path: Path) -> tuple[IO[bytes], bool]:
    """Lock a file for as long as it is open.

    Parameters
    ----------
    path
        The lock file; created if it does not exist.

    Returns
    -------
    file : binary file
        The open file; closing it releases the lock.
    locked : bool
        False if the file system does not support locks.

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
    """Return whether a process holds a lock; False if locks are not supported."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            # Held until the file is closed; `acquire` retries for longer than that.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
