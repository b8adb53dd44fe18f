"""The same numbers on a Ray cluster, also when a node dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import psutil
import pytest

from training_runs import LANDER, TIGER, results, train, wait_for

ray = pytest.importorskip("ray", reason="Ray is not installed")
cluster_utils = pytest.importorskip("ray.cluster_utils")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("reference")
    train(run_dir, niters=6)
    return run_dir


@pytest.fixture
def cluster(monkeypatch):
    """A cluster on this machine, so far of one node with one core."""
    cluster = cluster_utils.Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False},
    )
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_results_do_not_depend_on_the_engine(cluster, reference, tmp_path):
    cluster.add_node(num_cpus=1)
    train(tmp_path, niters=6, engine="ray", num_cpus=-1)
    assert results(tmp_path) == results(reference)


def test_kernels_give_the_same_on_the_cluster(cluster, tmp_path):
    train(tmp_path / "local", **TIGER)
    train(tmp_path / "ray", **TIGER | {"engine": "ray", "num_cpus": -1})
    assert json.loads((tmp_path / "ray" / "run.json").read_text())["compiled"]
    assert results(tmp_path / "ray") == results(tmp_path / "local")


def test_a_node_that_dies_takes_nothing_with_it(cluster, reference, tmp_path):
    node = cluster.add_node(num_cpus=1)

    def kill_after_the_first_generation():
        while not (tmp_path / "state.npz").exists():
            time.sleep(0.02)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill_after_the_first_generation)
    killer.start()
    train(tmp_path, niters=6, engine="ray", num_cpus=2)
    killer.join()
    assert results(tmp_path) == results(reference)


def test_a_cluster_started_here_is_reached_from_here_only(root, tmp_path):
    settings = [f"{name}={value!r}" for name, value in LANDER.items()]
    command = [sys.executable, root / "workflow" / "scripts" / "train.py", "with"]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    process = subprocess.Popen(
        [*command, *settings, "niters=1000", "engine=ray", f"run_dir={tmp_path}"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: (tmp_path / "state.npz").exists() or process.poll())
        trainer = psutil.Process(process.pid)
        processes = [trainer, *trainer.children(recursive=True)]
        listening = [
            connection.laddr.ip
            for each in processes
            for connection in each.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening
        assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
        raylet = next(each for each in processes if each.name() == "raylet")
        token = raylet.environ()["RAY_AUTH_TOKEN"]
        assert len(token) == 64
        assert all(token not in " ".join(each.cmdline()) for each in processes)
    finally:
        process.terminate()
        process.wait()


def test_without_an_address_a_cluster_is_started_here(root, reference, tmp_path):
    settings = [f"{name}={value!r}" for name, value in LANDER.items()]
    command = [sys.executable, root / "workflow" / "scripts" / "train.py", "with"]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    result = subprocess.run(
        [*command, *settings, "niters=6", "engine=ray", f"run_dir={tmp_path}"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert results(tmp_path) == results(reference)
