"""Derive all published files from the trained policies again, and compare.

Runs in a checkout; lists the files in results/ that differ. Other options are passed on
to Snakemake.

Examples
--------
  posggym-es check
  posggym-es check --scale smoke --cores 2
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from posggym_es.commands.run import require_checkout, run_snakemake, snakemake_command

EXTRA = "pipeline"
PASSES_ON = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--cores", default="all", help="number of cores (default: all)")
    parser.add_argument("--scale", help="scale to use instead of the config's")


def main(args: argparse.Namespace) -> None:
    """Run Snakemake, and exit with its code."""
    require_checkout()
    args.configfile = [Path("config/config.yaml")]
    sys.exit(run_snakemake(snakemake_command(["check"], args)))
