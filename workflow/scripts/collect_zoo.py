#!/usr/bin/env python
"""Copy the agents of an experiment into the zoo, with a card for each.

Examples
--------
    collect_zoo.py --results results/driving --output zoo/Driving-v1/driving
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import atomic_directory
from posggym_es.publishing.zoo_folder import collect_experiment


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    with atomic_directory(args.output) as output:
        collect_experiment(args.results, output)


if __name__ == "__main__":
    cli.run(main)
