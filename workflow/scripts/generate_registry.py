#!/usr/bin/env python
"""Create a posggym tree in which the given agents are registered.

Copies the installed posggym (or the package given), adds the staged policy files, and
generates the registration code.

Examples
--------
    generate_registry.py --specs a/spec.json --assets_root STAGED --output posggym-tree
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from posggym_es.policies.policy_file import read_metadata
from posggym_es.registration.posggym_trees import make_tree
from posggym_es.registration.spec import AgentSpec


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--specs", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--assets_root",
        type=Path,
        required=True,
        help="staged policy files, posggym/assets/agents/...",
    )
    parser.add_argument(
        "--posggym",
        type=Path,
        help="posggym package to copy (default: the installed one)",
    )
    parser.add_argument(
        "--policy_dirs",
        type=Path,
        nargs="*",
        default=[],
        help="extracted policies of the agents; their training partners remain "
        "registered if earlier runs registered them in the package",
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    specs = [AgentSpec.read(path) for path in args.specs]
    metadata = [read_metadata(folder) for folder in args.policy_dirs]
    partners = {partner for each in metadata for partner in each.partner_ids}
    assets, output = args.assets_root, args.output
    for path in make_tree(specs, assets, output, args.posggym, partners):
        print(f"registered in {path}")


if __name__ == "__main__":
    cli.run(main)
