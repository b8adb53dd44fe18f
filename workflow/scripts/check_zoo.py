#!/usr/bin/env python
"""Check that the zoo's files follow from its trained policies, and that agents play.

Each policy is converted and proved again; the policy file must have the same bytes.
Then each agent, registered with the installed posggym, replays episodes of its
verification; the returns must be the same.

Examples
--------
    check_zoo.py --zoo zoo
    check_zoo.py --zoo zoo/Driving-v1 --episodes 20
"""

from __future__ import annotations

import sys
from pathlib import Path

from tqdm import tqdm

from posggym_es.workflow import cli
from posggym_es.agents.folders import agent_folders
from posggym_es.agents.run_time import register_agents
from posggym_es.publishing.zoo_check import mistakes


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=3, help="of each agent")
    args = parser.parse_args()
    register_agents(args.zoo)
    folders = agent_folders(args.zoo)
    found = []
    for folder in tqdm(folders, unit="agent", disable=None):
        for mistake in mistakes(folder, args.episodes):
            print(mistake)
            found.append(mistake)
    if found:
        sys.exit(f"check_zoo.py: {len(found)} mistakes in {args.zoo}")
    print(f"{args.zoo}: {len(folders)} agents are reproduced exactly")


if __name__ == "__main__":
    cli.run(main)
