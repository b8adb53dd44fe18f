#!/usr/bin/env python
r"""Register agents in a posggym repository and a models repository, on a branch.

Works on its own clones. Each repository gets one commit, whose message lists the added
agents. Agents that are already registered are skipped.

Examples
--------
    register_in_repositories.py --posggym_repo ~/posggym \
        --agent_models_repo ~/posggym-agent-models --branch es-agents --clones CLONES \
        --specs a/spec.json --policies a/policy.pkl --output registered.json
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import write_json
from posggym_es.publishing.repositories import (
    add_arguments,
    from_arguments,
    register_agents,
)
from posggym_es.registration.spec import AgentSpec


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    add_arguments(parser)
    parser.add_argument("--specs", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--policies", type=Path, nargs="+", required=True, help="one per spec, in order"
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    specs = [AgentSpec.read(path) for path in args.specs]
    report = register_agents(
        from_arguments(args), list(zip(specs, args.policies, strict=True))
    )
    write_json(args.output, report)
    for policy_id in report["added"]:
        print(f"added {policy_id}")
    print(f"posggym: {report['posggym_commit']}, models: {report['models_commit']}")


if __name__ == "__main__":
    cli.run(main)
