#!/usr/bin/env python
"""Regenerate POSGGym's documentation pages of agents from a posggym tree.

Examples
--------
    generate_docs.py --posggym_tree TREE --specs a/spec.json --output docs
    generate_docs.py --posggym_tree TREE --all --output docs
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import atomic_directory
from posggym_es.registration.spec import AgentSpec


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--posggym_tree", type=Path, required=True)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--specs", type=Path, nargs="+", help="pages of these agents' environments"
    )
    which.add_argument(
        "--all", action="store_true", help="pages of all environments with agents"
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    cli.use_posggym_tree(args.posggym_tree)
    # This imports posggym, so only now.
    from posggym_es.publishing.posggym_docs import write_pages

    env_ids = None
    if not args.all:
        specs = [AgentSpec.read(path) for path in args.specs]
        env_ids = sorted({spec.env_id for spec in specs})
    with atomic_directory(args.output) as docs:
        for page in write_pages(docs, env_ids):
            print(page.relative_to(docs))


if __name__ == "__main__":
    cli.run(main)
