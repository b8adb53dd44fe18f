"""Writing files so that no reader ever sees half of one."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SCRATCH_FOLDER = ".scratch"


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Put a file's name into system errors that have none, such as of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary sibling of `path` to write to, and rename it at the end.

    The rename is atomic on POSIX file systems: after a crash, a kill or a full
    disk, `path` is either what it was before or complete. When the block has ended,
    the new content survives a loss of power.

    Parameters
    ----------
    path
        The file to write. Its folder is created when it does not exist.

    Yields
    ------
    Path
        Where to write; it becomes `path` when the block ends without an error and
        is removed when the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=".tmp", dir=path.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        with named_errors(path):
            yield temporary
        # mkstemp makes private files; give what a plain open() would have given.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    """Make a rename within a folder durable, where the file system can do that."""
    folder = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def scratch_directory(parent: Path) -> Iterator[Path]:
    """Give a folder for temporary work, on the file system of `parent`.

    It lies in `parent/.scratch`, so nothing that looks through `parent` for results
    finds it. What killed processes left there is removed: each folder has a lock file,
    whose lock ends with the process that holds it.

    Parameters
    ----------
    parent
        Where the work goes in the end. Created when it does not exist.

    Yields
    ------
    Path
        An empty folder; removed at the end.
    """
    scratch = parent / SCRATCH_FOLDER
    _remove_abandoned(scratch)
    with _scratch_lock(scratch) as lock:
        folder = lock.with_suffix("")
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                scratch.rmdir()


@contextlib.contextmanager
def _scratch_lock(scratch: Path) -> Iterator[Path]:
    """Make and hold a lock file; no folder exists without its own."""
    while True:
        scratch.mkdir(parents=True, exist_ok=True)
        try:
            handle, name = tempfile.mkstemp(suffix=".lock", dir=scratch)
        except FileNotFoundError:
            # Somebody else's work ended, and `scratch` was empty for a moment.
            continue
        with os.fdopen(handle, "wb") as file:
            # A file system without locks is one where nothing is removed, either.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            # Between its creation and the lock it looked abandoned.
            if Path(name).exists():
                yield Path(name)
                return


def _remove_abandoned(scratch: Path) -> None:
    locks: list[Path] = []
    # Somebody else's work may end, and take the folder away, while this reads it.
    with contextlib.suppress(FileNotFoundError):
        locks = list(scratch.glob("*.lock"))
    for lock in locks:
        with contextlib.suppress(OSError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Give a temporary folder to fill; it replaces `path` at the end.

    Parameters
    ----------
    path
        The folder to write. An existing one is replaced as a whole.

    Yields
    ------
    Path
        The folder to fill; removed when the block raises.
    """
    with scratch_directory(path.parent) as scratch:
        new = scratch / "new"
        new.mkdir()
        yield new
        if path.exists():
            path.replace(scratch / "old")
        new.replace(path)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    ValueError
        If the file is not JSON; the message names the file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from error
