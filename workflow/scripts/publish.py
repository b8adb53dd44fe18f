#!/usr/bin/env python
"""Push the registered agents to the repositories, and prove that they can be used.

Shows what will be pushed where. A clone with uncommitted changes, or a remote branch
that went another way, is refused; nothing is ever pushed with force. Then each agent is
made by its id from a fresh clone: its file is downloaded, and it plays an episode.

Examples
--------
    publish.py --posggym_repo ~/posggym --agent_models_repo ~/posggym-agent-models \
        --branch es-agents --clones CLONES --agent_models_url https://HOST/raw/es-agents/
"""

from __future__ import annotations

from posggym_es.publishing.repositories import (
    add_arguments,
    from_arguments,
    publish,
    publishing_plan,
)
from posggym_es.workflow import cli


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--agent_models_url",
        help="address of the raw files of the published models branch, with a / at its "
        "end (default: the one that the posggym branch names)",
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="only show what would be pushed"
    )
    args = parser.parse_args()
    repositories = from_arguments(args)
    print(publishing_plan(repositories), flush=True)
    if args.dry_run:
        return
    for policy_id in publish(repositories, args.agent_models_url):
        print(f"published, downloaded and played: {policy_id}")


if __name__ == "__main__":
    cli.run(main)
