"""Locks of killed runs: removed where their holder is provably dead, and only there."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posggym_es.workflow.stale_locks import Holder, record_locks, remove_stale_locks
from test_faults import kill, start
from workspace import CONFIG, Workspace, snapshot

RECORD = """
import sys
from pathlib import Path
from posggym_es.workflow.stale_locks import record_locks
folder = Path(sys.argv[1])
record_locks(folder, [folder / "locks" / "0.output.lock"])
print("held", flush=True)
sys.stdin.read()
"""

LONG = {
    "experiments": {
        "lander": {
            "train": {
                **CONFIG["experiments"]["lander"]["train"],
                "niters": 100_000,
            },
            "register": {"policy_name": "pgpe"},
        }
    },
    "films": False,
}

# Holds its lock until a file appears.
ANOTHER = """
rule another:
    output: "runs/full/lander/seed0/metrics.csv"
    shell: "touch holding; while [ ! -e go ]; do sleep 0.1; done; touch {output}"
"""


@pytest.fixture
def lock(tmp_path) -> Path:
    path = tmp_path / "locks" / "0.output.lock"
    path.parent.mkdir()
    path.write_text("runs/full/lander/seed0/metrics.csv\n")
    return path


def held_by_a_dead_process(folder: Path) -> Path:
    """Return the record of a process that held the lock and has ended."""
    subprocess.run(
        [sys.executable, "-c", RECORD, folder], stdin=subprocess.DEVNULL, check=True
    )
    (record,) = (folder / "posggym-es-locks").iterdir()
    return record


def locks_and_records(folder: Path) -> dict[str, bytes]:
    return {
        name: content
        for name, content in snapshot(folder / ".snakemake").items()
        if "locks" in name.split("/")[0]
    }


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_locks_of_a_dead_process_are_removed(lock, tmp_path):
    record = held_by_a_dead_process(tmp_path)
    assert remove_stale_locks(tmp_path) == [lock]
    assert not lock.exists()
    assert not record.exists()
    assert remove_stale_locks(tmp_path) == []


def test_locks_of_a_living_process_stay(lock, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", RECORD, tmp_path],
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


def test_the_locks_of_a_killed_run_are_gone_when_the_next_one_begins(root, tmp_path):
    workspace = Workspace(root, tmp_path, copy.deepcopy(LONG))
    process = start(workspace)
    wait_for(tmp_path / "runs/full/lander/seed0/logs/train.log")
    kill(process)
    before = locks_and_records(tmp_path)
    assert len(before) == 3
    for arguments in (["-n"], ["--list-rules"], ["--lint"], ["--summary"]):
        workspace.snakemake("register_all", *arguments)
        assert locks_and_records(tmp_path) == before
    config = copy.deepcopy(LONG)
    config["experiments"]["lander"]["train"]["niters"] = 1
    workspace.write(config)
    workspace.succeed("runs/full/lander/seed0/metrics.csv", "--rerun-incomplete")
    assert not list((tmp_path / ".snakemake").glob("locks/*"))


def test_the_lock_of_another_workflow_is_respected(root, tmp_path):
    """Also where a killed run of this project left a record behind."""
    workspace = Workspace(root, tmp_path, copy.deepcopy(LONG))
    process = start(workspace)
    wait_for(tmp_path / "runs/full/lander/seed0/logs/train.log")
    kill(process)
    workspace.succeed("--unlock")
    (tmp_path / "Another").write_text(ANOTHER)
    command = ["snakemake", "--snakefile", "Another", "--cores", "1"]
    command += ["--rerun-incomplete"]
    other = subprocess.Popen(
        [str(Path(sys.executable).with_name(command[0])), *command[1:]],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(tmp_path / "holding")
        result = workspace.snakemake("runs/full/lander/seed0/metrics.csv")
        assert "cannot be locked" in result.stdout + result.stderr
        assert result.returncode != 0
        (tmp_path / "go").touch()
        assert other.wait(timeout=120) == 0
    finally:
        if other.poll() is None:
            os.killpg(other.pid, signal.SIGKILL)
            other.wait()
