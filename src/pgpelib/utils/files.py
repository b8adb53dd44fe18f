"""Atomic writing of files and folders, and reading of JSON."""

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


def _current_umask() -> int:
    # It can only be read by setting it.
    umask = os.umask(0)
    os.umask(umask)
    return umask


# Read once: two threads that do so at the same time could leave it at 0.
_UMASK = _current_umask()


@contextlib.contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Add a file's name to system errors without one, such as a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary file next to `path`, and rename it to `path` at the end.

    The rename is atomic on POSIX file systems: after a crash, a kill or a full disk,
    `path` has either its old content or the complete new one. Once the block has ended,
    the new content survives a loss of power.

    Parameters
    ----------
    path
        The file to write. Its folder is created if it does not exist.

    Yields
    ------
    Path
        The file to write to; removed if the block raises.
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
        # mkstemp creates private files; set the permissions that open() would set.
        temporary.chmod(0o666 & ~_UMASK)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(path: Path) -> None:
    """Make a rename within a folder durable, if the file system supports that."""
    folder = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def scratch_directory(parent: Path) -> Iterator[Path]:
    """Yield a temporary folder on the file system of `parent`.

    The folder is in `parent/.scratch`, so searches for results in `parent` do not find
    it. Folders left there by killed processes are removed: each folder has a lock file,
    which is locked only while its process is alive.

    Parameters
    ----------
    parent
        Folder that the results will be moved to. Created if it does not exist.

    Yields
    ------
    Path
        An empty folder; removed at the end of the block.
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
    """Create and hold the lock file of a scratch folder to be created."""
    while True:
        try:
            scratch.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(suffix=".lock", dir=scratch)
        except (FileNotFoundError, FileExistsError):
            # Another process has just removed `scratch`, because it was empty: before
            # the lock was created, or while `mkdir` looked whether it is a folder.
            # A link to nowhere is not, and stays.
            if scratch.is_file() or scratch.is_symlink():
                raise
            continue
        with os.fdopen(handle, "wb") as file:
            # Without lock support, `_remove_abandoned` removes nothing, either.
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            # Before it was locked, another process may have removed it as abandoned.
            if Path(name).exists():
                yield Path(name)
                return


def _remove_abandoned(scratch: Path) -> None:
    locks: list[Path] = []
    # Another process may remove the folder in the meantime.
    with contextlib.suppress(FileNotFoundError):
        locks = list(scratch.glob("*.lock"))
    for lock in locks:
        with contextlib.suppress(OSError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink()


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary folder, and replace `path` with it at the end.

    Parameters
    ----------
    path
        The folder to write. An existing one is replaced completely.

    Yields
    ------
    Path
        The folder to fill; removed if the block raises.
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
