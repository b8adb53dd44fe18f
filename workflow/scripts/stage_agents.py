#!/usr/bin/env python
r"""Copy policy files to the paths that POSGGym and its models repository use.

Examples
--------
    stage_agents.py --specs a/spec.json --policies a/policy.pkl \
        --models_root posggym-agent-models --assets_root posggym-tree
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import atomic_directory
from posggym_es.registration.spec import AgentSpec
from posggym_es.registration.staging import stage_assets, stage_models


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--specs", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--policies", type=Path, nargs="+", required=True, help="one per spec, in order"
    )
    parser.add_argument(
        "--models_root", type=Path, required=True, help="folder for posggym/agents/..."
    )
    parser.add_argument(
        "--assets_root",
        type=Path,
        required=True,
        help="folder for posggym/assets/agents/...",
    )
    args = parser.parse_args()
    if len(args.specs) != len(args.policies):
        raise ValueError(f"{len(args.specs)} specs for {len(args.policies)} policies")
    specs = [AgentSpec.read(path) for path in args.specs]
    agents = list(zip(specs, args.policies, strict=True))
    with atomic_directory(args.models_root) as models:
        stage_models(agents, models)
    with atomic_directory(args.assets_root) as assets:
        stage_assets(agents, assets)
    for spec in specs:
        print(f"{spec.id}: {spec.asset}")


if __name__ == "__main__":
    cli.run(main)
