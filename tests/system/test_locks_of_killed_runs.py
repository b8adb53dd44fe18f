"""Locks of killed runs are removed, those of others are respected."""

from __future__ import annotations

import copy
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from workspace import CONFIG, Workspace, kill, snapshot

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


def test_the_locks_of_a_killed_run_are_gone_when_the_next_one_begins(root, tmp_path):
    workspace = Workspace(root, tmp_path, copy.deepcopy(LONG))
    process = workspace.start("register_all")
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
    process = workspace.start("register_all")
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
