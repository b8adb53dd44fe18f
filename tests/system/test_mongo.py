"""Runs in a database: found again with everything, never at the price of training."""

from __future__ import annotations

import os
import subprocess
import sys

import gridfs
import pymongo
import pytest

from mongo_server import MongoServer
from pgpelib.restore import policy_metadata
from training_runs import results, wait_for

SETTINGS = ["env_name=LunarLanderContinuous-v2", "hidden=[]", "popsize=8"]
SETTINGS += ["popsize_max=None", "num_interactions=None", "re_eval_num_episodes=1"]
SETTINGS += ["num_cpus=1", "seed=1", "re_eval_interval=1", "save_interval=1"]
PASSWORD = "p@ss/w:rd$1"

# In the file name that Sacred gives a policy: a server that crashes on it does so in
# the midst of training, however fast that is.
POLICY = "artifact://"


def command(root, *arguments):
    script = root / "workflow" / "scripts" / "train.py"
    return [sys.executable, script, *arguments]


def train(root, folder, *arguments, **environment):
    return subprocess.run(
        command(root, *arguments),
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def stored_run(port, **credentials):
    """Return what a user finds in the database: the run, its metrics, its files."""
    database = pymongo.MongoClient("127.0.0.1", port, **credentials)["es"]
    (run,) = database["runs"].find()
    metrics = {entry["name"]: entry for entry in database["metrics"].find()}
    files = gridfs.GridFS(database)
    artifacts = {a["name"]: files.get(a["file_id"]).read() for a in run["artifacts"]}
    return run, metrics, artifacts


def test_a_run_is_found_again_with_config_metrics_and_policies(root, tmp_path):
    with MongoServer() as server:
        result = train(
            root,
            tmp_path,
            *("-m", f"127.0.0.1:{server.port}:es", "with", *SETTINGS, "niters=3"),
        )
        assert result.returncode == 0, result.stderr
        run, metrics, artifacts = stored_run(server.port)
    assert run["status"] == "COMPLETED"
    assert run["config"]["popsize"] == 8
    assert run["result"] == pytest.approx(metrics["re_eval_mean"]["values"][-1])
    assert metrics["pop_median"]["steps"] == [1, 2, 3]
    assert len(artifacts) == 3
    for name, content in artifacts.items():
        (tmp_path / name).write_bytes(content)
        assert policy_metadata(tmp_path / name)["env_name"]


def test_credentials_come_from_the_environment_and_stay_there(root, tmp_path):
    with MongoServer("alice", PASSWORD) as server:
        url = f"mongodb://$ES_USER:${{ES_PASSWORD}}@127.0.0.1:{server.port}/es"
        url += "?authSource=admin&authMechanism=SCRAM-SHA-256"
        arguments = ["-m", url, "-F", "files", "with", *SETTINGS, "niters=1"]
        environment = {"ES_USER": "alice", "ES_PASSWORD": PASSWORD}
        result = train(root, tmp_path, *arguments, **environment)
        assert result.returncode == 0, result.stderr
        run, _, _ = stored_run(server.port, username="alice", password=PASSWORD)
    assert run["status"] == "COMPLETED"
    assert PASSWORD not in result.stdout + result.stderr + repr(run)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    for path in written:
        assert PASSWORD.encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("mongodb://$ES_NOBODY@127.0.0.1:1/es", "variable ES_NOBODY is not set"),
        ("mongodb://127.0.0.1:1", "does not name a database"),
        ("mongodb://a:$ES_PASSWORD@127.0.0.1:x/es", "not a valid mongodb:// URL"),
        ("not a database!", "is not IP:PORT:DATABASE"),
        ("mongodb://a:$ES_PASSWORD@127.0.0.1:1/es", "answers at 127.0.0.1"),
        ("mongodb://a:secret@127.0.0.1:1/es", "a password on the command line"),
        ("mongodb://a:sec/ret@127.0.0.1:1/es", "a password on the command line"),
        ("a:secret@127.0.0.1:1:es", "a password on the command line"),
        (
            "mongodb://127.0.0.1:1/es?tlsCertificateKeyFilePassword=secret",
            "a password on the command line",
        ),
    ],
)
def test_a_database_that_cannot_be_used_is_reported_at_once(
    root, tmp_path, argument, message
):
    arguments = ("-m", argument, "with", *SETTINGS)
    result = train(root, tmp_path, *arguments, ES_PASSWORD="secret")
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert "sec" not in result.stdout + result.stderr
    assert not list(tmp_path.iterdir())


def test_wrong_credentials_are_reported_at_once(root, tmp_path):
    with MongoServer("alice", PASSWORD) as server:
        url = f"mongodb://alice:$ES_PASSWORD@127.0.0.1:{server.port}/es"
        url += "?authSource=admin&authMechanism=SCRAM-SHA-256"
        arguments = ("-m", url, "with", *SETTINGS)
        result = train(root, tmp_path, *arguments, ES_PASSWORD="wrong")
    assert result.returncode == 1
    assert "does not accept the credentials" in result.stderr
    assert "wrong" not in result.stdout + result.stderr


def start(root, folder, port, niters):
    arguments = ["-m", f"127.0.0.1:{port}:es", "-F", "files", "with", *SETTINGS]
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            command(root, *arguments, f"niters={niters}", f"run_dir={folder / 'run'}"),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def test_a_database_that_dies_does_not_stop_training(root, tmp_path):
    server = MongoServer(crash_on=POLICY)
    process = start(root, tmp_path, server.port, 4)
    assert process.wait(timeout=600) == 0
    log = (tmp_path / "log").read_text()
    assert "the database does not answer (" in log
    assert " records and the end of the run" in log
    assert "Traceback" not in log
    (policies,) = [p for p in (tmp_path / "run").iterdir() if p.name == "policies"]
    assert len(list(policies.iterdir())) == 4
    assert '"status": "COMPLETED"' in (tmp_path / "files/1/run.json").read_text()
    undisturbed = tmp_path / "undisturbed"
    arguments = ["with", *SETTINGS, "niters=4", f"run_dir={undisturbed}"]
    assert train(root, tmp_path, *arguments).returncode == 0
    assert results(tmp_path / "run") == results(undisturbed)


def test_a_database_that_comes_back_gets_everything(root, tmp_path):
    server = MongoServer(crash_on=POLICY)
    process = start(root, tmp_path, server.port, 12)
    table = tmp_path / "run" / "metrics.csv"
    wait_for(lambda: table.exists() and len(table.read_text().splitlines()) > 3)
    with MongoServer(port=server.port, client=server.client):
        assert process.wait(timeout=600) == 0
        run, metrics, artifacts = stored_run(server.port)
    assert run["status"] == "COMPLETED"
    assert metrics["pop_median"]["steps"] == list(range(1, 13))
    assert len(artifacts) == 12
