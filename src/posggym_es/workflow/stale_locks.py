"""Removal of stale locks that killed Snakemake processes of this project left behind.

Snakemake locks the files that it works on. If it is killed, these locks remain, and the
same command fails until `--unlock` is used. A lock does not tell which process holds
it. Therefore, each run of this project records its process and its locks, and later
runs remove exactly those locks whose process has provably ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pgpelib.utils.files import read_json, write_json

# Folder in `.snakemake`, next to Snakemake's own folders.
_RECORDS = "posggym-es-locks"


@dataclasses.dataclass(frozen=True)
class Holder:
    """A process, with a globally unique identity.

    Parameters
    ----------
    machine, boot
        Ids of the machine and of its current boot; "" if the system does not have one.
    pid_namespace
        Namespace of `pid`: each container of a machine has its own process ids.
    pid, start
        Process id, and start time of the process in clock ticks since the boot.
    """

    machine: str
    boot: str
    pid_namespace: str
    pid: int
    start: int

    @classmethod
    def current(cls) -> Holder | None:
        """Return this process; None on systems without `/proc`."""
        return cls._of(os.getpid())

    @classmethod
    def _of(cls, pid: int) -> Holder | None:
        try:
            boot = (
                Path("/proc/sys/kernel/random/boot_id")
                .read_text(encoding="utf-8")
                .strip()
            )
            namespace = str(Path("/proc/self/ns/pid").readlink())
            start = _start_time(pid)
        except (OSError, ValueError):
            return None
        try:
            machine = Path("/etc/machine-id").read_text(encoding="utf-8").strip()
        except OSError:
            # Many containers lack it; the boot id is also unique among machines.
            machine = ""
        return cls(machine, boot, namespace, pid, start)

    def is_dead(self) -> bool:
        """Return whether the process has provably ended.

        False if this cannot be determined because the process ran on another machine,
        before a reboot, or in another container.
        """
        here = Holder.current()
        if here is None or not self.boot:
            return False
        place = (self.machine, self.boot, self.pid_namespace)
        if place != (here.machine, here.boot, here.pid_namespace):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        now = self._of(self.pid)
        # The process id may have been reused.
        return now is not None and now.start != self.start


def _start_time(pid: int) -> int:
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    # The second field is the program's name in parentheses, which may contain spaces.
    return int(text.rpartition(")")[2].split()[19])


def keep_records(persistence: Any) -> None:
    """Make a workflow remove stale locks before it locks, and record its own locks.

    Snakemake has no hook between locking and the first job, so this wraps the
    workflow's `lock` method. Runs that do not lock, such as dry runs, are not affected.

    Parameters
    ----------
    persistence
        `workflow.persistence`, before the workflow locks.
    """
    inner = persistence.lock
    folder = Path(persistence.path)

    @contextlib.contextmanager
    def lock() -> Iterator[None]:
        remove_stale_locks(folder)
        with inner():
            # Snakemake has no public API for this. The attribute is missing if it keeps
            # locks in a database.
            own = getattr(persistence, "_lockfile", {})
            record_locks(folder, map(Path, own.values()))
            yield

    persistence.lock = lock


def record_locks(snakemake_folder: Path, locks: Iterable[Path]) -> None:
    """Record which lock files this process holds.

    Parameters
    ----------
    snakemake_folder
        Snakemake's `.snakemake`.
    locks
        Existing lock files.
    """
    holder = Holder.current()
    held = {str(path.resolve()): _identity(path) for path in locks}
    if holder is None or not held:
        return
    record = {"holder": dataclasses.asdict(holder), "locks": held}
    name = f"{holder.pid}-{holder.start}.json"
    write_json(snakemake_folder / _RECORDS / name, record)


def remove_stale_locks(snakemake_folder: Path) -> list[Path]:
    """Remove the locks of processes that have provably ended.

    Locks remain if they were not recorded, have changed since, or may still be held.

    Parameters
    ----------
    snakemake_folder
        Snakemake's `.snakemake`.

    Returns
    -------
    list of Path
        The removed locks.
    """
    removed = []
    for path, record in _records(snakemake_folder / _RECORDS):
        try:
            holder = Holder(**record["holder"])
            locks = {Path(name): tuple(held) for name, held in record["locks"].items()}
            dead = holder.is_dead()
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            # Not a record written by this project.
            continue
        if not dead:
            continue
        for lock, identity in locks.items():
            if lock.parent == (snakemake_folder / "locks").resolve() and (
                lock.is_file() and _identity(lock) == identity
            ):
                lock.unlink()
                removed.append(lock)
        path.unlink()
    return removed


def _records(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.glob("*.json")):
        try:
            yield path, read_json(path)
        except (OSError, ValueError):
            continue


def _identity(path: Path) -> tuple[int, int, int]:
    """Return what changes when a lock is recreated: inode, mtime (ns) and size."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
