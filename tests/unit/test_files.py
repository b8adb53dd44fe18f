"""Files and folders that are written as a whole, also when the writer is killed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pgpelib.utils.files import SCRATCH_FOLDER, atomic_directory, scratch_directory
from posggym_es.reporting.html_pages import index_page

WORK = Path(__file__).parents[1] / "helpers" / "write_folder.py"


@contextlib.contextmanager
def working(output: Path) -> Iterator[subprocess.Popen]:
    """Run a process that is in the middle of writing a folder."""
    process = subprocess.Popen(
        [sys.executable, WORK, output],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "working\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_what_a_killed_process_left_is_not_shown_and_goes_away(tmp_path):
    with working(tmp_path / "lander") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [path.name for path in tmp_path.iterdir()] == [SCRATCH_FOLDER]
    assert "<td>" not in index_page(tmp_path)
    with atomic_directory(tmp_path / "other") as folder:
        (folder / "file").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_work_of_living_processes_stays(tmp_path):
    with working(tmp_path / "lander") as process:
        with scratch_directory(tmp_path):
            pass
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert (tmp_path / "lander" / "summary.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["lander"]


def test_folders_are_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "folder"
    for name in ("first", "second"):
        with atomic_directory(folder) as work:
            (work / name).touch()
    assert [path.name for path in folder.iterdir()] == ["second"]
    with pytest.raises(FileExistsError), atomic_directory(folder) as third:
        third.mkdir()
    assert [path.name for path in folder.iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_many_at_a_time_do_not_remove_each_others_work(tmp_path):
    failures = []

    def work(number: int) -> None:
        try:
            for k in range(30):
                with atomic_directory(tmp_path / f"{number}") as folder:
                    (folder / f"{k}").touch()
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(path.name for path in tmp_path.iterdir()) == list("01234567")
