"""Show the progress of all experiments: state, generation, fitness, time left.

It only reads files, so it works while Snakemake is running.

Examples
--------
  posggym-es status
  posggym-es status --scale smoke --only lunarlander
"""

from __future__ import annotations

import argparse

from posggym_es.workflow import cli

EXTRA = "pipeline"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    cli.add_config_arguments(parser)


def main(args: argparse.Namespace) -> None:
    """Print the table."""
    from posggym_es.config.experiments import Experiments
    from posggym_es.config.workflow_config import read_config
    from posggym_es.workflow.status import status_table, statuses

    experiments = Experiments(read_config(cli.config_of(args)), args.directory)
    print(status_table(statuses(experiments, args.directory)))
