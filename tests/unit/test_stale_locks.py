"""Locks of killed runs: removed where their holder is provably dead, and only there."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import pytest

import hold_locks
from posggym_es.workflow.stale_locks import Holder, record_locks, remove_stale_locks


@pytest.fixture
def lock(tmp_path) -> Path:
    path = tmp_path / "locks" / "0.output.lock"
    path.parent.mkdir()
    path.write_text("runs/full/lander/seed0/metrics.csv\n")
    return path


def held_by_a_dead_process(folder: Path) -> Path:
    """Return the record of a process that held the lock and has ended."""
    hold_locks.hold_and_end(folder)
    (record,) = (folder / "posggym-es-locks").iterdir()
    return record


def test_locks_of_a_dead_process_are_removed(lock, tmp_path):
    record = held_by_a_dead_process(tmp_path)
    assert remove_stale_locks(tmp_path) == [lock]
    assert not lock.exists()
    assert not record.exists()
    assert remove_stale_locks(tmp_path) == []


def test_locks_of_a_living_process_stay(lock, tmp_path):
    process = subprocess.Popen(
        hold_locks.command(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    assert remove_stale_locks(tmp_path) == []
    process.kill()
    # Not even waited for, it is dead.
    process.communicate()
    assert remove_stale_locks(tmp_path) == [lock]


def test_locks_that_nobody_recorded_stay(lock, tmp_path):
    assert remove_stale_locks(tmp_path) == []
    assert lock.exists()


def test_a_lock_taken_again_by_somebody_else_stays(lock, tmp_path):
    held_by_a_dead_process(tmp_path)
    text = lock.read_text()
    lock.unlink()
    lock.write_text(text)
    assert remove_stale_locks(tmp_path) == []
    assert lock.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"machine": "0" * 32},
        {"boot": "0" * 32},
        {"boot": ""},
        {"pid_namespace": "pid:[1]"},
    ],
)
def test_locks_from_elsewhere_stay(lock, tmp_path, change):
    record = held_by_a_dead_process(tmp_path)
    data = json.loads(record.read_text())
    data["holder"] |= change
    record.write_text(json.dumps(data))
    assert remove_stale_locks(tmp_path) == []
    assert lock.exists()


def test_a_process_id_that_another_process_has_now_is_not_the_holder():
    me = Holder.current()
    assert me is not None
    assert not me.is_dead()
    assert dataclasses.replace(me, start=me.start - 1).is_dead()
    # Somebody else's process, which we may not signal, is alive.
    init = Holder._of(1)
    assert init is None or not init.is_dead()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"holder": {}, "locks": {}}',
        '{"holder": {"machine": "", "boot": 1, "pid_namespace": 2, "pid": "x", '
        '"start": 0}, "locks": []}',
        "\0",
    ],
)
def test_records_of_another_form_are_left_alone(lock, tmp_path, text):
    folder = tmp_path / "posggym-es-locks"
    folder.mkdir()
    (folder / "1-1.json").write_text(text)
    assert remove_stale_locks(tmp_path) == []
    assert lock.exists()


def test_a_record_cannot_name_files_that_are_no_locks(tmp_path, lock):
    precious = tmp_path / "precious"
    precious.touch()
    record = held_by_a_dead_process(tmp_path)
    data = json.loads(record.read_text())
    status = precious.stat()
    identity = [status.st_ino, status.st_mtime_ns, status.st_size]
    for name in (str(precious), f"{lock.parent}/../precious"):
        data["locks"] = {name: identity}
        record.write_text(json.dumps(data))
        assert remove_stale_locks(tmp_path) == []
        assert precious.exists()
        record.write_text(json.dumps(data))


def test_nothing_is_recorded_without_locks(tmp_path):
    record_locks(tmp_path, [])
    assert not list(tmp_path.iterdir())
