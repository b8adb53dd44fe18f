"""Check agents: derive their policy files again, and replay verified episodes.

A policy file must have the same bytes, and an episode the same return.

Examples
--------
  posggym-es verify Driving-v1/driving/seed3
  posggym-es verify results/lunarlander --episodes 10
"""

from __future__ import annotations

import argparse

EXTRA = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "agent",
        nargs="+",
        metavar="AGENT",
        help="a folder in results/ or the zoo, or the id of an agent of the zoo",
    )
    parser.add_argument(
        "--episodes", type=int, default=3, help="of each agent (default: %(default)s)"
    )


def main(args: argparse.Namespace) -> None:
    """Check, and print a line for each agent.

    Raises
    ------
    ValueError
        If something differs, or an agent has not been verified.
    """
    from pathlib import Path

    from posggym_es.commands.finding import find_agents
    from posggym_es.evaluation.file_names import VERIFICATION_FILE
    from posggym_es.publishing.zoo_check import mistakes
    from posggym_es.registration.spec import SPEC_FILE, AgentSpec

    folders: list[Path] = []
    for name in args.agent:
        for agent in find_agents(name):
            if agent.folder is None:
                raise ValueError(f"{name}: an agent of posggym, without a verification")
            folders.append(agent.folder)
    differing = 0
    for folder in folders:
        if not (folder / VERIFICATION_FILE).exists():
            raise ValueError(
                f"{folder} has no {VERIFICATION_FILE}; name a folder in "
                "results/<experiment> or the zoo"
            )
        name, found_mistakes = AgentSpec.read(folder / SPEC_FILE).id, 0
        for mistake in mistakes(folder, args.episodes):
            print(mistake)
            found_mistakes += 1
        if not found_mistakes:
            print(f"{name}: same policy file, {args.episodes} episodes replayed")
        differing += bool(found_mistakes)
    if differing:
        raise ValueError(f"{differing} of {len(folders)} agents differ")
