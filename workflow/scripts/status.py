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
from posggym_es.commands import status


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    status.add_arguments(parser)
    status.main(parser.parse_args())


if __name__ == "__main__":
    cli.run(main)
