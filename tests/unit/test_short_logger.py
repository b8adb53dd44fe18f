"""What `--logger short` shows of a workflow."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from training_runs import wait_for

pytestmark = pytest.mark.slow

# A step that logs as the trainer does, and one that waits as the trainer computes.
SNAKEFILE = r"""
rule play:
    output: "{experiment}/{run}.played"
    log: "{experiment}/{run}.log"
    shell:
        "(echo generation 1; echo another/seed0: no;"
        " echo '{wildcards.experiment}/{wildcards.run}: re-eval 0.5') > {log};"
        " touch {output}"

rule collect:
    input: "{experiment}/seed3.played"
    output: "{experiment}.collected"
    localrule: True
    shell: "touch {output}"

rule wait:
    output: "{experiment}/{run}.waited"
    log: "{experiment}/{run}.log"
    shell:
        "trap : TERM; python wait.py > {log} && touch {output}"

rule broken:
    output: "never"
    log: "broken.log"
    shell: "echo the disk is full > {log}; exit 1"
"""
WAIT = """
import pathlib, sys, time
from pgpelib.utils.interrupts import Interrupted, raise_interrupted

raise_interrupted()
try:
    print("generation 1\\ngeneration 2", flush=True)
    while not pathlib.Path("go").exists():
        time.sleep(0.05)
except Interrupted as interrupted:
    print("Interrupted after generation 2.")
    sys.exit(interrupted.exit_code)
"""
COMMAND = [sys.executable, "-m", "snakemake", "--logger", "short", "--cores", "2"]


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "wait.py").write_text(WAIT)
    return tmp_path


def shown(folder: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, capture_output=True, text=True
    )
    return done.stderr.splitlines()


def waiting(folder: Path, command: list[str]) -> subprocess.Popen[str]:
    """Return a workflow whose step waits."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    log = folder / "driving/seed3.log"
    wait_for(lambda: log.exists() and "generation 2" in log.read_text())
    return process


def test_steps_show_the_lines_that_begin_with_experiment_and_run(folder):
    old = folder / "driving" / "seed3.log"
    old.parent.mkdir()
    old.write_text("driving/seed3: of an earlier run\n")
    assert shown(folder, "driving.collected") == [
        "driving/seed3: re-eval 0.5",
        "driving/seed3 play: done",
    ]


def test_a_dry_run_shows_no_logs(folder):
    shown(folder, "driving/seed3.played")
    assert shown(folder, "--forceall", "-n", "driving/seed3.played") == []


def test_a_failed_step_says_why_and_where_its_log_is(folder):
    lines = shown(folder, "--keep-going", "driving/seed3.played", "never")
    assert "driving/seed3 play: done" in lines
    place = lines.index("the disk is full")
    assert lines[place + 1] == "broken: failed; its log: broken.log"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_is_one_line(folder, number):
    process = waiting(folder, [*COMMAND, "driving/seed3.waited"])
    os.killpg(process.pid, number)
    lines = process.communicate()[1].splitlines()
    assert process.returncode != 0
    assert lines == [
        "Interrupted driving/seed3 after generation 2; run the same command to resume."
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_interrupts_all_steps_when_it_is_interrupted(folder, number):
    code = (
        "import sys; from posggym_es.commands.run import run_snakemake;"
        f"sys.exit(run_snakemake({[*COMMAND, 'driving/seed3.waited']}))"
    )
    process = waiting(folder, [sys.executable, "-c", code])
    # Only this process, as `kill` and `timeout` do.
    process.send_signal(number)
    lines = process.communicate()[1].splitlines()
    assert process.returncode == 128 + number
    assert lines == [
        "Interrupted driving/seed3 after generation 2; run the same command to resume."
    ]


def test_a_terminal_has_a_status_that_goes_away(folder):
    main, terminal = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "driving/seed3.waited"],
        cwd=folder,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
    ) as process:
        os.close(terminal)
        text = ""
        while "generation 2\r" not in text:
            text += os.read(main, 1000).decode()
        assert "0/1 steps · driving/seed3 wait: generation 2" in text
        (folder / "go").touch()
        while "wait: done" not in text:
            text += os.read(main, 1000).decode()
        try:
            while more := os.read(main, 1000).decode():
                text += more
        except OSError:
            # The other end is closed.
            pass
        assert process.wait() == 0
    os.close(main)
    # The status is erased in the end.
    assert text.endswith("\r\033[K")
    assert "wait: done\r\n" in text
