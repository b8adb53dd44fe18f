"""The chain on a real Slurm with two nodes: jobs are killed, and nothing is lost."""

from __future__ import annotations

import contextlib
import copy
import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

from pgpelib.training.config import TrainingConfig
from pgpelib.training.loop import Training
from slurm_cluster import NODES, SlurmCluster, why_not
from training_runs import results, wait_for
from workspace import ONE_EXPERIMENT

SMALL_JOBS = {"mem_mb": 500, "runtime": 10}


def experiment(env_name: str, niters: int, **train) -> dict:
    return {
        "train": {
            "env_name": env_name,
            "hidden": [],
            "niters": niters,
            "popsize": 8,
            "popsize_max": None,
            "num_interactions": None,
            "re_eval_num_episodes": 4,
            **train,
        },
        "register": {"policy_name": "pgpe"},
        "resources": SMALL_JOBS,
    }


@pytest.fixture(scope="module")
def cluster():
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with SlurmCluster() as cluster:
        yield cluster


class Project:
    """A folder with a config, and Snakemake on the cluster."""

    def __init__(self, root: Path, folder: Path, experiments: dict) -> None:
        self.root, self.folder = root, folder
        (folder / "config").mkdir(parents=True)
        config = yaml.safe_dump({"experiments": experiments, "films": False})
        (folder / "config" / "config.yaml").write_text(config)

    def start(self, *arguments: str, cluster: SlurmCluster) -> subprocess.Popen:
        command = ["snakemake", "--snakefile", self.root / "Snakefile", *arguments]
        path = f"{Path(sys.executable).parent}:{cluster.environment['PATH']}"
        command += ["--profile", self.root / "profiles" / "slurm"]
        # The test need not wait as a busy cluster makes one wait.
        command += ["--slurm-init-seconds-before-status-checks", "1"]
        command += ["--seconds-between-status-checks", "2", "--latency-wait", "10"]
        return subprocess.Popen(
            list(map(str, command)),
            cwd=self.folder,
            env={**cluster.environment, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments: str, cluster: SlurmCluster) -> str:
        process = self.start(*arguments, cluster=cluster)
        output = process.communicate()[0]
        assert process.returncode == 0, output
        return output

    def run_folder(self, name: str) -> Path:
        (folder,) = (self.folder / "runs" / "full" / name / "seed0").glob("run-*")
        return folder

    def wait_for_generation(self, name: str, generation: int) -> None:
        runs = self.folder / "runs" / "full" / name / "seed0"

        def has_begun() -> bool:
            files = runs.glob("run-*/metrics.csv")
            return any(len(f.read_text().splitlines()) > generation for f in files)

        wait_for(has_begun)

    def hold_training(self, name: str, generation: int) -> None:
        """Stop the training process after a generation: tests then need not hurry."""
        self.wait_for_generation(name, generation)
        held = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if Path(process.cwd()) == self.folder and any(
                    part.endswith("train.py") for part in process.cmdline()
                ):
                    process.suspend()
                    held.append(process)
        assert held, f"{name} does not train"


def running_job(cluster: SlurmCluster, rule: str) -> str:
    """Wait for a running job of a rule and return its id."""

    def running() -> list[str]:
        return [
            job
            for job, (state, comment) in cluster.jobs().items()
            if state == "RUNNING" and rule in comment
        ]

    wait_for(running, interval=0.2)
    return running()[0]


def test_register_all_gives_the_files_of_a_local_run(root, cluster, tmp_path, alone):
    reaching = ONE_EXPERIMENT["experiments"]["reaching"]
    experiments = {"reaching": {**reaching, "resources": SMALL_JOBS}}
    project = Project(root, tmp_path / "remote", experiments)
    project.run("register_all", cluster=cluster)
    (local,) = (alone.folder / "runs/full/reaching/seed0").glob("run-*")
    assert results(project.run_folder("reaching")) == results(local)
    tree = Path("results/registry/posggym-tree")
    for path in (alone.folder / tree).rglob("*.p*"):
        if "__pycache__" not in path.parts and path.is_file():
            same = project.folder / path.relative_to(alone.folder)
            assert same.read_bytes() == path.read_bytes()
    report = project.folder / "results" / "registry" / "verification.json"
    assert len(json.loads(report.read_text())) == 1


TRAINED = "runs/full/lander/seed0/metrics.csv"
# Enough generations after the third, in which it is held, to notice that in time.
LONG = {"lander": experiment("LunarLanderContinuous-v2", 16, popsize=40)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a local run without interruption gives."""
    settings = {**LONG["lander"]["train"], "seed": 0, "num_cpus": 1}
    folder = tmp_path_factory.mktemp("local")
    with Training(TrainingConfig.from_dict(settings), folder) as training:
        training.run()
    return results(folder)


def test_a_cancelled_training_job_is_resumed_by_the_next_call(
    root, cluster, tmp_path, undisturbed
):
    project = Project(root, tmp_path / "remote", LONG)
    process = project.start(TRAINED, "--retries", "0", cluster=cluster)
    project.hold_training("lander", 3)
    cluster.run("scancel", running_job(cluster, "train"))
    output = process.communicate()[0]
    assert process.returncode != 0
    # The message says where the log is.
    assert "runs/full/lander/seed0/logs/train.log" in output
    project.run(TRAINED, cluster=cluster)
    log = project.folder / "runs" / "full" / "lander" / "seed0" / "logs" / "train.log"
    assert "resuming after generation" in log.read_text()
    assert results(project.run_folder("lander")) == undisturbed


def test_a_lost_node_costs_one_attempt(root, cluster, tmp_path, undisturbed):
    project = Project(root, tmp_path / "remote", LONG)
    process = project.start(TRAINED, "--retries", "1", cluster=cluster)
    project.hold_training("lander", 3)
    job = running_job(cluster, "train")
    node = cluster.run("squeue", "--noheader", f"--job={job}", "--format=%N").strip()
    assert node in NODES
    cluster.stop_node(node)
    try:
        output = process.communicate()[0]
        assert process.returncode == 0, output
    finally:
        cluster.start_node(node)
        cluster.wait_until_idle()
    log = project.folder / "runs" / "full" / "lander" / "seed0" / "logs" / "train.log"
    assert "resuming after generation" in log.read_text()
    assert results(project.run_folder("lander")) == undisturbed


def test_a_time_limit_costs_one_attempt(root, cluster, tmp_path, undisturbed):
    experiments = copy.deepcopy(LONG)
    experiments["lander"]["resources"]["runtime"] = 1
    project = Project(root, tmp_path / "remote", experiments)
    # A slow machine may need more attempts.
    process = project.start(TRAINED, "--retries", "5", cluster=cluster)
    # Until its minute is over.
    project.hold_training("lander", 3)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert "TIMEOUT" in output
    log = project.folder / "runs" / "full" / "lander" / "seed0" / "logs" / "train.log"
    assert "resuming after generation" in log.read_text()
    assert results(project.run_folder("lander")) == undisturbed


def test_one_run_on_two_nodes_gives_the_numbers_of_one(
    root, cluster, tmp_path, undisturbed
):
    experiments = copy.deepcopy(LONG)
    experiments["lander"]["resources"]["nodes"] = 2
    project = Project(root, tmp_path / "remote", experiments)
    project.run(TRAINED, cluster=cluster)
    log = project.folder / "runs" / "full" / "lander" / "seed0" / "logs" / "train.log"
    assert "Ray on 2 nodes" in log.read_text()
    assert results(project.run_folder("lander")) == undisturbed
    # The cluster is torn down with the run.
    own = cluster.environment["SLURM_CONF"]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            ours = process.environ().get("SLURM_CONF") == own
            assert not (ours and "raylet" in process.name())
