"""Kills, full disks, two at a time, clocks: run it again, and everything is right."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from training_runs import LANDER, results
from workspace import ONE_EXPERIMENT, Workspace, environment, kill, snapshot

# More with ES_KILLS=50: each takes seconds.
KILLS = int(os.environ.get("ES_KILLS", "3"))
PUBLISHED = ("posggym-tree", "posggym-agent-models", "docs")


def published(
    folder: Path, groups: Sequence[str] = ("reaching", "registry")
) -> dict[str, dict[str, bytes]]:
    """Return all files that users load and read."""
    return {
        f"{group}/{part}": snapshot(folder / "results" / group / part)
        for group in groups
        for part in PUBLISHED
    }


def test_killed_at_any_moment_the_same_command_completes_it(root, alone, tmp_path):
    seconds = float((alone.folder / "seconds").read_text())
    moments = random.Random(0)
    workspace, folders, kills = None, 0, 0
    while kills < KILLS:
        if workspace is None:
            folder = tmp_path / str(folders)
            folder.mkdir()
            folders += 1
            workspace = Workspace(root, folder, ONE_EXPERIMENT)
        process = workspace.start("register_all")
        with contextlib.suppress(subprocess.TimeoutExpired):
            output = process.communicate(timeout=moments.uniform(1, seconds / 2))[0]
        if process.returncode is None:
            kill(process)
            kills += 1
            # Nothing half-written has a final name.
            for path in workspace.folder.rglob("policy.pkl"):
                assert path.stat().st_size > 1000
            continue
        # It was done before its moment came: the others hit a new one.
        assert process.returncode == 0, output
        assert published(workspace.folder) == published(alone.folder)
        workspace = None
    if workspace is not None:
        process = workspace.start("register_all")
        output = process.communicate()[0]
        assert process.returncode == 0, output
        assert published(workspace.folder) == published(alone.folder)


def test_two_at_once_do_not_disturb_each_other(root, alone, tmp_path):
    workspace = Workspace(root, tmp_path, ONE_EXPERIMENT)
    first = workspace.start("results/reaching")
    runs = workspace.folder / "runs/full/reaching/seed0"
    while not list(runs.glob("run-*")):
        time.sleep(0.1)
        assert first.poll() is None
    second = workspace.start("results/reaching")
    output = second.communicate()[0]
    assert second.returncode != 0
    assert "cannot be locked" in output or "Error: Directory" in output
    output = first.communicate()[0]
    assert first.returncode == 0, output
    # What was made from scratch in another folder is the same.
    found, expected = (published(w.folder, ["reaching"]) for w in (workspace, alone))
    assert found == expected
    # Agents were verified and documented from there, and nothing was left behind.
    assert not list((workspace.folder / "results").rglob("*.pyc"))


def test_a_clock_that_jumps_costs_work_but_no_result(alone, tmp_path):
    workspace = alone.copy(tmp_path / "copy")
    jumps = random.Random(1)
    now = time.time()
    for path in sorted((workspace.folder / "runs").rglob("*")):
        moment = now - jumps.uniform(0, 10**6)
        os.utime(path, (moment, moment), follow_symlinks=False)
    workspace.succeed("register_all")
    assert published(workspace.folder) == published(alone.folder)
    assert "Nothing to be done" in workspace.succeed("register_all")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a file system of its own needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def script(root, name, *arguments):
    return subprocess.run(
        [sys.executable, root / "workflow/scripts" / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment(),
    )


def test_training_on_a_full_disk_goes_on_when_there_is_room(root, small_disk, tmp_path):
    settings = [f"{name}={value!r}" for name, value in LANDER.items()]
    arguments = ["with", *settings, "num_cpus=1", f"run_dir={small_disk / 'run'}"]
    assert script(root, "train.py", *arguments, "niters=2").returncode == 0
    before = snapshot(small_disk / "run")
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    full = script(root, "train.py", *arguments, "niters=6")
    assert full.returncode != 0
    assert "No space left on device" in full.stderr
    # What was there is there, or one generation further.
    policies = [name for name in before if name.startswith("policies/")]
    assert policies
    for name in policies:
        assert (small_disk / "run" / name).read_bytes() == before[name]
    filler.unlink()
    assert script(root, "train.py", *arguments, "niters=6").returncode == 0
    undisturbed = ["with", *settings, "num_cpus=1", f"run_dir={tmp_path / 'u'}"]
    assert script(root, "train.py", *undisturbed, "niters=6").returncode == 0
    assert results(small_disk / "run") == results(tmp_path / "u")


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_the_converter_leaves_what_was_there(root, alone, small_disk, fault):
    source = alone.folder / "runs/full/reaching/seed0/extracted"
    output = small_disk / "converted"
    command = ["--checkpoint_dir", source, "--output_dir", output]
    assert script(root, "save_to_posggym_format.py", *command).returncode == 0
    before = snapshot(output)
    if fault == "full":
        with contextlib.suppress(OSError), (small_disk / "filler").open("wb") as file:
            while True:
                file.write(bytes(1024))
    else:
        subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    result = script(root, "save_to_posggym_format.py", *command)
    assert result.returncode == 1
    words = {"full": "No space left", "read-only": "Read-only file system"}
    assert words[fault] in result.stderr
    assert "Traceback" not in result.stderr
    assert snapshot(output) == before
