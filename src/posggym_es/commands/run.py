"""Train, register, verify and document experiments with Snakemake.

Runs in a checkout. What is there already is not made again, and an interrupted run goes
on where it stopped. Other options are passed on to Snakemake.

Examples
--------
  posggym-es run lunarlander
  posggym-es run lunarlander driving --scale smoke --cores 2
  posggym-es run register_all -n
  posggym-es run lunarlander --profile profiles/slurm
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

from posggym_es.workflow import cli

EXTRA = "pipeline"
PASSES_ON = True
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
    """Replace this process by Snakemake."""
    start_snakemake(targets(args), args)


def targets(args: argparse.Namespace) -> list[str]:
    """Return Snakemake's targets: results folders of experiments, and other names."""
    from posggym_es.config.experiments import Experiments
    from posggym_es.config.workflow_config import read_config

    require_checkout()
    args.configfile = [Path("config/config.yaml"), *args.configfile]
    args.config, args.directory, args.only = {}, Path(), None
    experiments = Experiments(read_config(cli.config_of(args)))
    return [
        f"{experiments.results_root}/{name}" if name in experiments.names else name
        for name in args.experiment
    ]


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


def start_snakemake(targets: list[str], args: argparse.Namespace) -> None:
    """Replace this process by Snakemake, with options of the command.

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
    command = [sys.executable, "-m", "snakemake", *targets, *options, *others]
    # The steps' commands start `python`: the one that this package is installed in.
    bin_folder = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([bin_folder, os.environ.get("PATH", "")])
    # Training then shows re-evaluations only; metrics.csv has all generations.
    os.environ.setdefault("POSGGYM_ES_SHORT", "1")
    os.execv(sys.executable, command)
