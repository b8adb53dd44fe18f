#!/usr/bin/env python
r"""Remove an agent from the repositories: its file, registration and documentation.

Each repository gets one commit; run publish.py afterwards to push it.

Examples
--------
    unregister.py --posggym_repo ~/posggym --agent_models_repo ~/posggym-agent-models \
        --branch es-agents --clones CLONES --policy LunarLanderContinuous-v2/pgpe-v0
"""

from __future__ import annotations

from posggym_es.workflow import cli
from posggym_es.publishing.repositories import (
    add_arguments,
    from_arguments,
    unregister_agent,
)


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    add_arguments(parser)
    parser.add_argument("--policy", required=True, help="id of the agent")
    args = parser.parse_args()
    report = unregister_agent(from_arguments(args), args.policy)
    print(f"removed {args.policy}")
    print(f"posggym: {report['posggym_commit']}, models: {report['models_commit']}")


if __name__ == "__main__":
    cli.run(main)
