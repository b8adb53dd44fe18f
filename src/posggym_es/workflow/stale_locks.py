"""Locks that a killed Snakemake of this project left behind.

Snakemake locks the files that it works on, and a Snakemake that is killed leaves these
locks: the same command then needs `--unlock` first. A lock does not say who holds it.
So each run of this project records which locks it holds, and who it is, and a later run
removes exactly those whose holder is provably dead.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pgpelib.utils.files import read_json, write_json

# Beside Snakemake's own folders in its `.snakemake`.
_RECORDS = "posggym-es-locks"


@dataclasses.dataclass(frozen=True)
class Holder:
    """A process, told apart from every other one that ever ran anywhere.

    Parameters
    ----------
    machine, boot
        Ids of the machine and of its present boot; "" where the system has none.
    pid_namespace
        Which processes `pid` counts: containers of one machine count their own.
    pid, start
        Process id, and when the process started, in clock ticks since the boot.
    """

    machine: str
    boot: str
    pid_namespace: str
    pid: int
    start: int

    @classmethod
    def current(cls) -> Holder | None:
        """Return this process; None on systems that do not tell processes apart."""
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
            # Many containers have none; the boot's id is unique among machines, too.
            machine = ""
        return cls(machine, boot, namespace, pid, start)

    def is_dead(self) -> bool:
        """Return whether the process ran here and has ended.

        False also where that cannot be known: on another machine, after another boot,
        in another container.
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
        # Another process may have got the id since.
        return now is not None and now.start != self.start


def _start_time(pid: int) -> int:
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    # The second field is the program's name in parentheses, whatever it contains.
    return int(text.rpartition(")")[2].split()[19])


def keep_records(persistence: Any) -> None:
    """Make a workflow remove stale locks before it locks, and record its own.

    Snakemake has no hook between its locks and its first job, so this wraps `lock` of
    the one workflow. Dry runs and everything else that does not lock stay as they are.

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
            # Which lock files are its own, Snakemake tells nobody. There are none where
            # it keeps locks in a database.
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
        The lock files, which exist.
    """
    holder = Holder.current()
    held = {str(path.resolve()): _identity(path) for path in locks}
    if holder is None or not held:
        return
    record = {"holder": dataclasses.asdict(holder), "locks": held}
    name = f"{holder.pid}-{holder.start}.json"
    write_json(snakemake_folder / _RECORDS / name, record)


def remove_stale_locks(snakemake_folder: Path) -> list[Path]:
    """Remove the locks of processes that are provably dead.

    Locks that nobody recorded, that changed since, or whose holder may be alive stay.

    Parameters
    ----------
    snakemake_folder
        Snakemake's `.snakemake`.

    Returns
    -------
    list of Path
        The locks that were removed.
    """
    removed = []
    for path, record in _records(snakemake_folder / _RECORDS):
        try:
            holder = Holder(**record["holder"])
            locks = {Path(name): tuple(held) for name, held in record["locks"].items()}
            dead = holder.is_dead()
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            # Nothing that this project wrote.
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
    """Return what changes when a lock is taken again: inode, time (ns) and size."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
