"""Show how to load an agent: register it, and print the lines to paste.

SOURCE is a folder with agents such as results/registry, the id of an agent, or the URL
of a git repository with such folders, or of a models repository with published agents.

Examples
--------
  posggym-es load results/registry
  posggym-es load Driving-v1/driving/seed3
  posggym-es load git+https://example.org/me/posggym-agent-models.git@posggym-es
"""

from __future__ import annotations

import argparse
from pathlib import Path

EXTRA = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("source", metavar="SOURCE", help="folder, id or URL")


def main(args: argparse.Namespace) -> None:
    """Register, and print."""
    import posggym.agents

    from posggym_es.agents.loading import lines_of
    from posggym_es.agents.remote import is_url
    from posggym_es.agents.run_time import register_agents
    from posggym_es.commands.finding import find_agent

    if is_url(args.source):
        ids, source = register_agents(args.source), args.source
    elif Path(args.source).is_dir():
        ids, source = register_agents(args.source), str(Path(args.source).resolve())
    else:
        from posggym_es.zoo import FOLDER

        agent = find_agent(args.source)
        ids, source = [agent.spec.id], None
        if agent.folder is not None:
            inside = agent.folder.is_relative_to(FOLDER)
            source = "zoo" if inside else str(agent.folder.resolve())
    for name in ids:
        spec = posggym.agents.registry[name]
        roles = ", ".join(spec.valid_agent_ids or ["any"])
        print(f"# {name}: plays agent {roles}; {spec.description or ''}".rstrip("; "))
    print("\n".join(lines_of(posggym.agents.registry[ids[0]], source)))
