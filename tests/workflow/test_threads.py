"""The number of threads changes nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from training_runs import results
from workspace import Workspace, environment

THREADS = (
    "import os, sys, {module}, torch\n"
    "from pgpelib.utils.threads import ONE_THREAD\n"
    "assert all(os.environ[name] == '1' for name in ONE_THREAD)\n"
    "print(torch.get_num_threads())\n"
)


@pytest.mark.parametrize(
    "module", ["pgpelib", "posggym_es", "posggym_es.conversion.proof"]
)
def test_packages_compute_with_one_thread_whatever_snakemake_exports(module):
    run = subprocess.run(
        [sys.executable, "-c", THREADS.format(module=module)],
        env=environment(OMP_NUM_THREADS="2", MKL_NUM_THREADS="2"),
        capture_output=True,
        text=True,
    )
    assert run.stdout == "1\n", run.stderr


@pytest.mark.parametrize("module", ["pgpelib", "posggym_es"])
def test_packages_are_there_before_numpy(module):
    """NumPy's BLAS starts its threads when it is loaded."""
    count = f"import {module}, numpy, os; print(len(os.listdir('/proc/self/task')))"
    run = subprocess.run(
        [sys.executable, "-c", count],
        env=environment(OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="2"),
        capture_output=True,
        text=True,
    )
    assert run.stdout == "1\n", run.stderr


@pytest.mark.slow
def test_runs_with_one_and_two_threads_are_the_same_to_the_last_bit(root, tmp_path):
    """BLAS uses several threads for layers of this size, and each sums in its order."""
    found = []
    for threads in (1, 2):
        folder = tmp_path / str(threads)
        folder.mkdir()
        entry = {
            "train": {
                "env_name": "posggym:PursuitEvasion-v1",
                "roles": ["0", "1"],
                "hidden": [256, 256],
                "niters": 2,
                "popsize": 8,
                "popsize_max": None,
                "num_interactions": None,
                "re_eval_num_episodes": 2,
            },
            "resources": {"threads": threads},
            "register": {"policy_name": "wide_i{role}"},
        }
        workspace = Workspace(root, folder, {"experiments": {"wide": entry}})
        workspace.succeed("runs/full/wide/seed0/metrics.csv")
        (run_dir,) = (folder / "runs/full/wide/seed0").glob("run-*")
        found.append(results(run_dir))
    assert found[0] == found[1]
