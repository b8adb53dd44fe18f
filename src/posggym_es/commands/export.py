"""Write an agent's trained policy as a file of the trainer, to train it further.

AGENT is a folder in results/ or zoo/, or the id of an agent there. `init_policy` in the
config, and the trainer's `init_policy=FILE`, start a search from the file: with other
partners, longer episodes, or a memory.

Examples
--------
  posggym-es export LevelBasedForaging-v3/level_based_foraging/seed0 forager.pickle
  posggym-es export results/driving/seed1 driver.pickle
"""

from __future__ import annotations

import argparse
from pathlib import Path

EXTRA = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("agent", metavar="AGENT", help="folder or id of an agent")
    parser.add_argument("output", metavar="FILE", type=Path, help="file to write")


def main(args: argparse.Namespace) -> None:
    """Write the file."""
    from pgpelib.policies.saving import save_policy
    from posggym_es.commands.finding import find_agent
    from posggym_es.evaluation.file_names import EXTRACTED_FOLDER
    from posggym_es.policies.evolved import trainable
    from posggym_es.policies.policy_file import load_extracted

    agent = find_agent(args.agent)
    if agent.folder is None:
        raise ValueError(f"{agent.spec.id}: not an agent of results/ or zoo/")
    folder = agent.folder / EXTRACTED_FOLDER
    extracted = load_extracted(folder)
    try:
        policy = trainable(extracted)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    save_policy(policy, args.output)
    print(f"{args.output}: {agent.spec.id}, for init_policy")
