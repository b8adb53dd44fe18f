"""The live state of experiments, while they run and when they do not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from posggym_es.config.experiments import Experiments
from posggym_es.config.settings import WorkflowConfig
from posggym_es.workflow.status import status_table, statuses

CONFIG = {
    "experiments": {
        "lander": {
            "train": {
                "env_name": "LunarLanderContinuous-v2",
                "hidden": [],
                "niters": 500,
                "popsize": 8,
                "popsize_max": None,
                "num_interactions": None,
                "re_eval_num_episodes": 1,
            },
            "register": {"policy_name": "pgpe"},
        }
    }
}


def test_a_run_is_waiting_training_interrupted(root, tmp_path):
    experiments = Experiments(WorkflowConfig.from_dict(CONFIG))

    def state():
        (row,) = statuses(experiments, tmp_path)
        return row

    assert state().state == "waiting"
    config = experiments["lander"].training_config("seed0")
    run_dir = tmp_path / "runs/full/lander/seed0" / f"run-{config.digest}"
    settings = [f"{key}={value!r}" for key, value in config.to_dict().items()]
    settings += ["num_cpus=1", f"run_dir={run_dir}"]
    process = subprocess.Popen(
        [
            sys.executable,
            root / "workflow/scripts/train.py",
            "with",
            *settings,
            "num_cpus=1",
            f"run_dir={run_dir}",
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 600
        while (row := state()).state != "training" or (row.generation or 0) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert row.niters == 500
    assert row.eta is not None
    assert row.eta > 0
    assert row.steps_per_second is not None
    assert row.fitness is not None
    assert state().state == "interrupted"
    assert state().eta is None


def test_looking_does_not_stop_a_run_from_starting(root, tmp_path):
    """Whoever looks holds the lock for a moment: trainers wait for that."""
    experiments = Experiments(WorkflowConfig.from_dict(CONFIG))
    config = experiments["lander"].training_config("seed0")
    run_dir = tmp_path / "runs/full/lander/seed0" / f"run-{config.digest}"
    settings = [f"{key}={value!r}" for key, value in config.to_dict().items()]
    settings += ["num_cpus=1", f"run_dir={run_dir}"]
    watcher = root / "tests/helpers/watch_lock.py"
    run_dir.mkdir(parents=True)
    (run_dir / "lock").touch()
    looking = subprocess.Popen([sys.executable, watcher, run_dir / "lock"])
    try:
        result = subprocess.run(
            [
                sys.executable,
                root / "workflow/scripts/train.py",
                "with",
                *settings,
                "num_cpus=1",
                "niters=1",
                f"run_dir={run_dir}",
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
    finally:
        looking.kill()
        looking.wait()
    assert result.returncode == 0, result.stderr


def test_finished_experiments_are_registered(done):
    rows = statuses(Experiments(WorkflowConfig.from_dict(done.config)), done.folder)
    assert {row.state for row in rows} == {"registered"}
    assert len(rows) == 4
    table = status_table(rows)
    assert table.splitlines()[0].split()[:3] == ["experiment", "run", "state"]
    assert all(len(line) <= 100 for line in table.splitlines())


@pytest.mark.parametrize("way", ["script", "target"])
def test_users_see_the_table(done, way):
    if way == "script":
        result = done.run_script("status.py", "--only", "lander,pursuit")
        output = result.stdout
        assert result.returncode == 0, result.stderr
    else:
        output = done.succeed("status", "--config", "only=lander,pursuit")
    shown = [line.split()[:3] for line in output.splitlines() if "registered" in line]
    assert shown == [
        ["lander", "seed0", "registered"],
        ["lander", "seed1", "registered"],
        ["pursuit", "seed0", "registered"],
    ]


def test_help_lists_targets_and_experiments(done):
    output = done.succeed("help")
    for target in ("register_all", "results/NAME", "crossplay", "publish", "status"):
        assert target in output
    assert "Experiments: lander, pursuit, reaching" in output


def test_an_unknown_experiment_is_named(done):
    result = done.run_script("status.py", "--only", "landre")
    assert result.returncode == 1
    assert "did you mean 'lander'?" in result.stderr
    assert "Traceback" not in result.stderr
