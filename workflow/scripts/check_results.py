#!/usr/bin/env python
"""Derive every published file again from the trained policies, and say which differ.

Runs extraction, conversion, staging, registration, verification and docs in a folder of
its own, and compares policy files, registration code and pages byte by byte with those
in `results/`.

Examples
--------
    check_results.py
    check_results.py --scale smoke --only lunarlander --cores 2
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from pgpelib.files import scratch_directory
from posggym_es import cli
from posggym_es.rederivation import derive_again, differences

SNAKEFILE = Path(__file__).resolve().parents[2] / "Snakefile"


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--configfile", type=Path, default=Path("config/config.yaml"))
    parser.add_argument("--directory", type=Path, default=Path())
    parser.add_argument("--scale", help="scale of the config to look at")
    parser.add_argument("--only", help="experiments, with commas")
    parser.add_argument("--cores", type=int, default=1)
    args = parser.parse_args()
    config = yaml.safe_load((args.directory / args.configfile).read_text())
    given = {"scale": args.scale, "only": args.only}
    config |= {key: value for key, value in given.items() if value is not None}
    results = args.directory / "results"
    runs = args.directory / "runs"
    if not runs.is_dir():
        raise ValueError(f"{runs}: no trained policies; run the chain first")
    with scratch_directory(runs) as work:
        derive_again(SNAKEFILE, args.directory, config, work, args.cores)
        found = list(differences(results, work / "results"))
    for line in found:
        print(line)
    if found:
        sys.exit(f"check_results.py: {len(found)} files are not what the chain makes")
    print(f"{results}: every published file is what the chain makes")


if __name__ == "__main__":
    cli.run(main)
