#!/usr/bin/env python
"""Show the progress of all experiments: state, generation, fitness, speed, time left.

It only reads files, so it works while Snakemake is running, and from any machine with
access to the folder. For a live view: `watch -n 5 python workflow/scripts/status.py`.

Examples
--------
    status.py
    status.py --scale smoke --only lunarlander
    status.py --configfile config/config.yaml mine.yaml
"""

from __future__ import annotations

from posggym_es.workflow import cli
from posggym_es.config.experiments import Experiments
from posggym_es.config.workflow_config import read_config
from posggym_es.workflow.status import status_table, statuses


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    cli.add_config_arguments(parser)
    args = parser.parse_args()
    experiments = Experiments(read_config(cli.config_of(args)), args.directory)
    print(status_table(statuses(experiments, args.directory)))


if __name__ == "__main__":
    cli.run(main)
