#!/usr/bin/env python
"""Regenerate all published files from the trained policies, and list those that differ.

Runs extraction, conversion, staging, registration, verification and docs in a temporary
folder, and compares policy files, registration code and pages byte by byte with those
in `results/`.

Examples
--------
    check_results.py
    check_results.py --scale smoke --only lunarlander --cores 2
"""

from __future__ import annotations

import sys
from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import scratch_directory
from posggym_es.config.experiments import Experiments
from posggym_es.config.settings import REGISTRY_GROUP
from posggym_es.config.workflow_config import read_config
from posggym_es.publishing.rederivation import (
    derive_again,
    differences,
    require_published,
)

SNAKEFILE = Path(__file__).resolve().parents[2] / "Snakefile"


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    cli.add_config_arguments(parser)
    parser.add_argument("--cores", type=int, default=1)
    args = parser.parse_args()
    config = read_config(cli.config_of(args))
    experiments = Experiments(config, args.directory)
    require_published(experiments, args.directory)
    results = args.directory / experiments.results_root
    groups = [*experiments.selected, REGISTRY_GROUP]
    with scratch_directory(args.directory / "runs") as work:
        derive_again(SNAKEFILE, args.directory, config, work, args.cores)
        derived = work / experiments.results_root
        found = [
            line for name in groups for line in differences(results, derived, name)
        ]
    for line in found:
        print(line)
    if found:
        sys.exit(f"check_results.py: {len(found)} files differ")
    print(f"{results}: all published files are reproduced exactly")


if __name__ == "__main__":
    cli.run(main)
