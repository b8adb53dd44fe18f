#!/usr/bin/env python
"""Make a posggym tree in which the given agents are registered.

Copies the installed posggym (or the package given), adds the staged policy files, and
generates the registration code.

Examples
--------
    generate_registry.py --specs a/spec.json --assets_root STAGED --output posggym-tree
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from pgpelib.files import atomic_directory, read_json
from posggym_es import cli
from posggym_es.registry import existing_ids, register
from posggym_es.spec import AgentSpec
from posggym_es.staging import copy_package


def installed_posggym() -> Path:
    """Return the package folder of the installed posggym, without importing it."""
    found = importlib.util.find_spec("posggym")
    if found is None or found.origin is None:
        raise ValueError("posggym is not installed in this environment")
    return Path(found.origin).parent


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
        help="package folder to start from (default: the installed one)",
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    specs = [AgentSpec.from_json(read_json(path)) for path in args.specs]
    with atomic_directory(args.output) as tree:
        copy_package(args.posggym or installed_posggym(), tree)
        shutil.copytree(args.assets_root, tree, dirs_exist_ok=True)
        # An id of posggym's own must not be overridden; ids of earlier blocks may.
        register(tree, [])
        taken = frozenset(existing_ids(tree))
        for path in register(tree, specs, taken):
            print(f"registered in {path.relative_to(tree)}")


if __name__ == "__main__":
    cli.run(main)
