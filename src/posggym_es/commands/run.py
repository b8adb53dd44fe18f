"""Train, register, verify and document experiments with Snakemake.

Runs in a checkout. What is there already is not made again, and an interrupted run
resumes where it stopped. In the end, it shows the returns, the page to open, and how to
play an agent. Other options are passed on to Snakemake.

Examples
--------
  posggym-es run lunarlander
  posggym-es run lunarlander driving --scale smoke --cores 2
  posggym-es run register_all -n
  posggym-es run lunarlander --profile profiles/slurm
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posggym_es.workflow import cli
from pgpelib.foreign.config_text import parse_yaml
from pgpelib.utils.interrupts import Interrupted, raise_interrupted

if TYPE_CHECKING:
    from posggym_es.config.experiments import Experiments

EXTRA = "pipeline"
PASSES_ON = True
EVERYTHING = "register_all"
_DRY_RUN = re.compile(r"--dry-?run|-[a-zA-Z]*n[a-zA-Z]*")
SNAKEFILES = ("Snakefile", "workflow/Snakefile")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "experiment",
        nargs="+",
        help="an experiment of the config, or a target: register_all, crossplay, zoo",
    )
    parser.add_argument("--cores", default="all", help="number of cores (default: all)")
    parser.add_argument(
        "--scale", help="scale to use instead of the config's, such as smoke"
    )
    parser.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[],
        help="config files to read after config/config.yaml",
    )


def main(args: argparse.Namespace) -> None:
    """Run Snakemake; print a summary, or exit with Snakemake's code if it fails."""
    require_checkout()
    experiments = experiments_of(args)
    targets = [
        f"{experiments.results_root}/{name}" if name in experiments.names else name
        for name in args.experiment
    ]
    code = run_snakemake(snakemake_command(targets, args))
    if code:
        sys.exit(code)
    if not any(map(_DRY_RUN.fullmatch, args.others)):
        print_summary(experiments, args.experiment)


def print_summary(experiments: Experiments, goals: Sequence[str]) -> None:
    """Print the summary of those goals that are experiments, if there are any."""
    from posggym_es.commands.summary import summary

    names = [
        name
        for goal in goals
        for name in (experiments.selected if goal == EVERYTHING else [goal])
        if name in experiments.names
    ]
    text = summary(experiments.results_root, names, experiments.scale)
    if text:
        # Where the other lines are.
        print(text, file=sys.stderr)


def experiments_of(args: argparse.Namespace) -> Experiments:
    """Return the experiments of the config that Snakemake will use."""
    from posggym_es.config.experiments import Experiments
    from posggym_es.config.workflow_config import read_config

    args.configfile = [Path("config/config.yaml"), *args.configfile]
    args.config, args.directory, args.only = config_in(args.others), Path(), None
    return Experiments(read_config(cli.config_of(args)))


def config_in(options: Sequence[str]) -> dict[str, Any]:
    """Return the values of `--config KEY=VALUE ...` among Snakemake's options.

    Raises
    ------
    ValueError
        If a value is not YAML.
    """
    config: dict[str, Any] = {}
    inside = False
    for option in options:
        if option.startswith("-"):
            inside = option in ("--config", "-C")
        elif inside:
            key, _, value = option.partition("=")
            config |= parse_yaml(f"{key}: {value}", "--config")
    return config


def require_checkout() -> None:
    """Check that Snakemake finds the workflow in this folder.

    Raises
    ------
    ValueError
        If it does not.
    """
    if not any(Path(name).is_file() for name in SNAKEFILES):
        raise ValueError(
            f"{Path.cwd()} has no Snakefile; run this in a checkout of posggym-es "
            "(git clone), or use it as a module of your own workflow (docs/modules.md)"
        )


def snakemake_command(targets: list[str], args: argparse.Namespace) -> list[str]:
    """Return the command that starts Snakemake, with options of this one.

    Raises
    ------
    ModuleNotFoundError
        If Snakemake is not installed.
    """
    importlib.import_module("snakemake")
    options = ["--logger", "short", "--cores", args.cores]
    if len(args.configfile) > 1:
        # Snakemake reads the first one itself.
        options += ["--configfile", *map(str, args.configfile[1:])]
    others = list(args.others)
    if args.scale is not None:
        if "--config" not in others:
            others.append("--config")
        others.insert(others.index("--config") + 1, f"scale={args.scale}")
    return [sys.executable, "-m", "snakemake", *targets, *options, *others]


def run_snakemake(command: list[str]) -> int:
    """Run Snakemake, and interrupt all its steps if this process is interrupted.

    Snakemake itself takes SIGTERM as the request to finish the running steps, which
    may take days.

    Returns
    -------
    int
        The exit code of Snakemake, or of an interrupted process.
    """
    # The steps' commands start `python`: the one that this package is installed in.
    bin_folder = str(Path(sys.executable).parent)
    path = os.pathsep.join([bin_folder, os.environ.get("PATH", "")])
    raise_interrupted()
    with subprocess.Popen(command, env={**os.environ, "PATH": path}) as process:
        try:
            return process.wait()
        except Interrupted as interrupted:
            _interrupt(process.pid)
            return process.wait() and interrupted.exit_code


def _interrupt(pid: int) -> None:
    """Send SIGINT to a process and its descendants, as Ctrl-C on a terminal does."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGINT)
