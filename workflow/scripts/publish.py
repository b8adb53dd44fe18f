#!/usr/bin/env python
r"""Push the registered agents to the repositories, and check that they work.

First lists the commits to push. Stops if a clone has uncommitted changes or a remote
branch has diverged; it never force-pushes. Then creates each agent by its id from a
fresh clone, which downloads its file, and plays an episode.

Examples
--------
    publish.py --posggym_repo ~/posggym --agent_models_repo ~/posggym-agent-models \
        --branch es-agents --clones CLONES --agent_models_url https://HOST/raw/es-agents/
"""

from __future__ import annotations

from posggym_es.workflow import cli
from posggym_es.publishing.repositories import (
    add_arguments,
    from_arguments,
    publish,
    publishing_plan,
)


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    add_arguments(parser)
    parser.add_argument(
        "--agent_models_url",
        help="base URL of the raw files on the published models branch, with a "
        "trailing / (default: the URL in the posggym branch)",
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
