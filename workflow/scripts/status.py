#!/usr/bin/env python
"""Show how far every experiment is: state, generation, fitness, speed, time left.

Only reads files, so it works while Snakemake runs, also from another machine that sees
the folder. For a live view: `watch -n 5 python workflow/scripts/status.py`.

Examples
--------
    status.py
    status.py --scale smoke --only lunarlander
"""

from __future__ import annotations

from pathlib import Path

import yaml

from posggym_es import cli
from posggym_es.experiments import Experiments
from posggym_es.status import status_table, statuses


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--configfile", type=Path, default=Path("config/config.yaml"))
    parser.add_argument("--directory", type=Path, default=Path())
    parser.add_argument("--scale", help="scale of the config to look at")
    parser.add_argument("--only", help="experiments, with commas")
    args = parser.parse_args()
    config = yaml.safe_load((args.directory / args.configfile).read_text())
    given = {"scale": args.scale, "only": args.only}
    config |= {key: value for key, value in given.items() if value is not None}
    print(status_table(statuses(Experiments(config), args.directory)))


if __name__ == "__main__":
    cli.run(main)
