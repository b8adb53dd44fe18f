"""A folder in which Snakemake runs, and a small config for it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import yaml

CONFIG = {
    "experiments": {
        "lander": {
            "train": {
                "env_name": "LunarLanderContinuous-v2",
                "hidden": [],
                "niters": 2,
                "popsize": 8,
                "popsize_max": None,
                "num_interactions": None,
                "re_eval_num_episodes": 4,
            },
            "seeds": [0, 1],
            "checkpoint": "best",
            "verify_episodes": 4,
            "register": {"policy_name": "pgpe_seed{seed}", "description": "A test"},
        },
        "reaching": {
            "train": {
                "env_name": "posggym:CooperativeReaching-v0",
                "hidden": [4],
                "activation": "relu",
                "niters": 2,
                "popsize": 8,
                "popsize_max": None,
                "num_interactions": None,
                "re_eval_num_episodes": 4,
            },
            "register": {"policy_name": "pgpe_sp"},
        },
        # Two roles, with LSTMs.
        "pursuit": {
            "train": {
                "env_name": "posggym:PursuitEvasion-v1",
                "hidden": [],
                "lstm_size": 4,
                "roles": ["0", "1"],
                "niters": 1,
                "popsize": 4,
                "popsize_max": None,
                "num_interactions": None,
                "re_eval_num_episodes": 4,
            },
            "register": {"policy_name": "pgpe_i{role}"},
        },
    },
}
# A chain of one experiment.
ONE_EXPERIMENT = {
    "experiments": {"reaching": CONFIG["experiments"]["reaching"]},
    "films": False,
}


def environment(**extra):
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        **extra,
    }


class Workspace:
    """A folder with its own config to run Snakemake in."""

    def __init__(self, root: Path, folder: Path, config: dict) -> None:
        self.root = root
        self.folder = folder
        self.config = config
        self.write(config)

    def write(self, config: dict) -> None:
        folder = self.folder / "config"
        folder.mkdir(exist_ok=True)
        (folder / "config.yaml").write_text(yaml.safe_dump(config))

    def copy(self, folder: Path, config: dict | None = None) -> Workspace:
        """Copy everything to a folder that does not exist, with another config."""
        shutil.copytree(self.folder, folder, symlinks=True)
        return Workspace(self.root, folder, config or self.config)

    def snakefile(self) -> list[str]:
        """Return the arguments that say which Snakefile is run."""
        return ["--snakefile", str(self.root / "Snakefile")]

    def snakemake(
        self, *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["snakemake", *self.snakefile(), "--cores", "2", *arguments],
            cwd=self.folder,
            env=environment(**variables),
            capture_output=True,
            text=True,
        )

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake with the default profile, in a new session."""
        command = ["snakemake", *self.snakefile(), "--cores", "2"]
        command += ["--workflow-profile", str(self.root / "profiles" / "default")]
        return subprocess.Popen(
            [*command, *arguments],
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def succeed(self, *arguments: str) -> str:
        result = self.snakemake(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout + result.stderr

    def run_script(
        self, name: str, *arguments: object, **variables: str
    ) -> subprocess.CompletedProcess:
        """Run one of the scripts in this folder."""
        script = self.root / "workflow" / "scripts" / name
        return subprocess.run(
            [sys.executable, script, *map(str, arguments)],
            cwd=self.folder,
            env=environment(**variables),
            capture_output=True,
            text=True,
        )

    def python(self, tree: str, code: str) -> str:
        output = python_with_tree(self.folder / tree, code, folder=self.folder)
        return output.strip().splitlines()[-1]


def kill(process: subprocess.Popen) -> None:
    """Kill a process and its descendants at once, as in a power cut."""
    everyone = []
    with contextlib.suppress(psutil.NoSuchProcess):
        everyone = psutil.Process(process.pid).children(recursive=True)
    for pid in [process.pid, *(child.pid for child in everyone)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def python_with_tree(
    tree: Path,
    code: str,
    *arguments: str,
    folder: Path | None = None,
    **variables: str,
) -> str:
    """Run code with the posggym of a tree, and return its output."""
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment(PYTHONPATH=str(tree), **variables),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def planned(output: str) -> set[str]:
    """Return the output folders of the jobs of a dry run."""
    return {
        line.split("output:", 1)[1].strip()
        for line in output.splitlines()
        if line.strip().startswith("output:")
    }


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }
