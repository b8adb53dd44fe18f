#!/usr/bin/env python
r"""Collect everything about an experiment, or about all agents, in one results folder.

Examples
--------
    collect_results.py --experiment humanoid --config '{}' --staged STAGED \
        --agent_dirs runs/full/humanoid/seed0 --run_dirs runs/full/humanoid/seed0 \
        --output results/humanoid
    collect_results.py --registry verification.json --specs a/spec.json \
        --staged STAGED --output results/registry
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import atomic_directory
from posggym_es.config.scales import FULL_SCALE
from posggym_es.registration.spec import AgentSpec
from posggym_es.reporting.html_pages import write_index
from posggym_es.reporting.result_folders import collect, collect_registry


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--experiment", help="name of the experiment")
    which.add_argument(
        "--registry", type=Path, help="verification report of the registry"
    )
    parser.add_argument("--config", type=cli.json_argument, default={})
    parser.add_argument("--agent_dirs", type=Path, nargs="+", default=[])
    parser.add_argument("--run_dirs", type=Path, nargs="*", default=[])
    parser.add_argument("--scale", default=FULL_SCALE, help="scale of the config")
    parser.add_argument(
        "--films", action="store_true", help="include the agents' films"
    )
    parser.add_argument("--specs", type=Path, nargs="+", default=[])
    parser.add_argument("--staged", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--index",
        type=Path,
        help="page of all experiments, beside this one's folder, to write again",
    )
    args = parser.parse_args()
    with atomic_directory(args.output) as output:
        if args.experiment is not None:
            collect(
                args.experiment,
                args.config,
                args.agent_dirs,
                args.run_dirs,
                args.staged,
                output,
                args.films,
            )
        else:
            specs = [AgentSpec.read(path) for path in args.specs]
            collect_registry(specs, args.registry, args.staged, output, args.scale)
    if args.index is not None:
        write_index(args.index)
    print(f"results: {args.output / 'README.md'}")


if __name__ == "__main__":
    cli.run(main)
