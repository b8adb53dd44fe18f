"""`make headline` resumes the paper's runs from the state kept in the repository."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from headline import adopt, load_results, train

from pgpelib.restore import load_policy
from pgpelib.training.config import TrainingConfig
from posggym_es.config.experiments import Experiments
from posggym_es.config.workflow_config import read_config
from workspace import environment

TIMINGS = {"pop_elapsed", "elapsed", "steps_per_second"}
TRAIN = {
    "env_name": "LunarLanderContinuous-v2",
    "hidden": [],
    "niters": 6,
    "popsize": 8,
    "popsize_max": None,
    "num_interactions": None,
    "re_eval_interval": 2,
    "re_eval_num_episodes": 2,
    "save_interval": 2,
}


NEVER = float("inf")


class Repository:
    """A list of one run, in a temporary folder."""

    def __init__(self, folder, **train):
        self.folder = folder
        folder.mkdir()
        entry = {"experiment": "lander", "seeds": [3], "title": "T", "published": 200}
        (folder / "runs.yaml").write_text(yaml.safe_dump({"lander": entry}))
        self.set(**train)

    def set(self, **train):
        experiment = {"train": {**TRAIN, **train}, "register": {"policy_name": "pgpe"}}
        (self.folder / "config.yaml").write_text(
            yaml.safe_dump({"experiments": {"lander": experiment}})
        )

    def result(self, work="work"):
        files = self.folder / "runs.yaml", self.folder / "config.yaml"
        (result,) = load_results(*files, self.folder / work, 1)
        return result

    def run(self, work="work"):
        (run,) = self.result(work).runs
        return run

    def start_script(self, root, *arguments):
        return subprocess.Popen(
            [
                *(sys.executable, root / "benchmarks" / "headline.py", "--cpus", "1"),
                *("--runs", self.folder / "runs.yaml"),
                *("--config", self.folder / "config.yaml"),
                *("--work", self.folder / "work"),
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )


def numbers(folder):
    """Everything that a run folder computed but timings."""
    with np.load(folder / "state.npz", allow_pickle=False) as archive:
        state = {k: v.tobytes() for k, v in archive.items() if k != "elapsed"}
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [
            {k: v for k, v in row.items() if k not in TIMINGS}
            for row in csv.DictReader(file)
        ]
    return state, rows


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The kept files of a run that was never interrupted."""
    run = Repository(tmp_path_factory.mktemp("headline") / "undisturbed").run()
    train(run, NEVER, NEVER)
    assert run.is_finished
    return run.kept


def test_another_machine_resumes_from_the_kept_state(tmp_path, undisturbed, capsys):
    repository = Repository(tmp_path / "repository", niters=2)
    first = repository.run()
    train(first, NEVER, NEVER)
    assert (first.generation, first.is_finished) == (2, True)
    repository.set()
    other = repository.run(work="another")
    assert not other.is_finished
    capsys.readouterr()
    train(other, NEVER, NEVER)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in printed] == [
        f"lander_seed3: generation {number}/6" for number in range(3, 7)
    ]
    assert numbers(other.kept) == numbers(undisturbed)
    assert load_policy(other.kept / "policy.pickle").metadata.generation == 6
    repository.result().draw(tmp_path)
    assert (tmp_path / "lander.png").read_bytes().startswith(b"\x89PNG")


def test_an_older_working_folder_is_replaced_and_a_newer_one_kept(
    tmp_path, undisturbed
):
    repository = Repository(tmp_path / "repository", niters=2)
    train(repository.run(), NEVER, NEVER)
    run = repository.run()
    older = {path.name: path.read_bytes() for path in run.kept.iterdir()}
    shutil.copytree(undisturbed, run.kept, dirs_exist_ok=True)
    run.restore()
    assert numbers(run.work) == numbers(undisturbed)
    for name, content in older.items():
        (run.kept / name).write_bytes(content)
    run.restore()
    assert numbers(run.work) == numbers(undisturbed)


def test_without_time_no_generation_begins(tmp_path):
    run = Repository(tmp_path / "repository").run()
    train(run, NEVER, time.monotonic())
    assert run.generation == 0
    assert not run.kept.exists()


def test_the_state_is_copied_while_it_trains(tmp_path):
    run = Repository(tmp_path / "repository").run()
    copied: list[int] = []
    train(run, 0, NEVER, lambda: copied.append(run.generation))
    assert copied == sorted(copied)
    assert len(copied) > 2
    assert copied[-1] == 6


def test_metrics_cut_within_a_line_are_kept_up_to_it(tmp_path, undisturbed):
    run = Repository(tmp_path / "repository").run()
    shutil.copytree(undisturbed, run.work)
    with (run.work / "metrics.csv").open("a") as file:
        file.write("7,,12.5")
    run.keep(run.work)
    assert numbers(run.kept) == numbers(undisturbed)


@pytest.mark.slow
def test_a_run_of_the_trainer_is_adopted_as_it_is(root, tmp_path, undisturbed):
    repository = Repository(tmp_path / "repository")
    folder = tmp_path / "elsewhere"
    settings = [f"{name}={value!r}" for name, value in {**TRAIN, "niters": 4}.items()]
    command = [sys.executable, root / "workflow/scripts/train.py", "with", *settings]
    arguments = ["seed=3", "num_cpus=1", f"run_dir={folder}"]
    subprocess.run([*command, *arguments], check=True, env=environment())
    run = repository.run()
    adopt(run, folder)
    for name in ("state.npz", "metrics.csv", "run.json"):
        assert (run.kept / name).read_bytes() == (folder / name).read_bytes()
    train(run, NEVER, NEVER)
    assert numbers(run.kept) == numbers(undisturbed)
    with pytest.raises(ValueError, match="nothing is adopted"):
        adopt(run, folder)


def test_other_settings_are_refused(tmp_path, undisturbed):
    repository = Repository(tmp_path / "repository", max_speed=0.1)
    run = repository.run()
    with pytest.raises(ValueError, match="a run with other settings"):
        adopt(run, undisturbed)
    assert not run.kept.exists()
    shutil.copytree(undisturbed, run.kept)
    with pytest.raises(ValueError, match="a run with other settings"):
        repository.run()
    with pytest.raises(ValueError, match="not the folder of a run"):
        run.keep(tmp_path)


@pytest.mark.slow
def test_the_script_is_interrupted_and_keeps_the_state(root, tmp_path):
    repository = Repository(tmp_path / "repository", niters=10**6)
    process = repository.start_script(root, "--only", "lander_seed3")
    assert "generation 1/" in process.stdout.readline()
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == 19
    process.terminate()
    process.communicate()
    assert process.returncode != 0
    run = repository.run()
    assert run.generation > 0
    assert run.timesteps > 0
    assert (repository.folder / "lander.png").exists()
    status = repository.start_script(root, "--status")
    assert f"generation {run.generation}/1000000" in status.communicate()[0]
    unknown = repository.start_script(root, "--only", "walker")
    error = unknown.communicate()[1]
    assert unknown.returncode != 0
    assert error.startswith("headline.py: unknown run walker")
    assert error.count("\n") == 1


@pytest.mark.slow
def test_the_listed_runs_are_those_of_the_papers_scripts(root):
    entries = yaml.safe_load((root / "benchmarks/headline/runs.yaml").read_text())
    experiments = Experiments(
        read_config(yaml.safe_load((root / "config/config.yaml").read_text()))
    )
    for name, script in {"walker2d": "walker2d", "humanoid": "humanoid"}.items():
        train = experiments[entries[name]["experiment"]].training_config("seed0")
        printed = subprocess.run(
            [root / f"workflow/scripts/train_{script}.sh", "print_config"],
            capture_output=True,
            text=True,
            check=True,
            env=environment(),
        ).stdout
        assert f"env_name = '{train.env_name}'" in printed
        for key in ("niters", "popsize", "popsize_max", "num_interactions"):
            assert f" {key} = {getattr(train, key)}" in printed
        for key in ("max_speed", "center_lr", "radius", "decrease_rewards_by"):
            assert f" {key} = {getattr(train, key)}" in printed
    bullet = experiments[entries["humanoid_bullet"]["experiment"]].training_config(
        "seed0"
    )
    assert bullet == TrainingConfig(re_eval_env_name="HumanoidBulletEnv-v0")
