"""Convert trained policies to POSGGym's format, and prove that they act the same.

Reads policies of this trainer, checkpoints of POSGGym's PPO baselines, and of other
libraries (docs/sources.md). Writes policy.pkl, which posggym's PPOPolicy loads, and
conversion.json, with the processors and the proof.

Examples
--------
  posggym-es convert runs/full/driving/seed1/policies converted
  posggym-es convert P0_seed0.pt converted
  posggym-es convert ppo.zip converted --agent env_name=CartPole-v1
"""

from __future__ import annotations

import argparse
from pathlib import Path

from posggym_es.workflow import cli
from posggym_es.conversion.report import MIN_OBSERVATIONS
from posggym_es.models.processors import ProcessorSpec

EXTRA = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "checkpoint", type=Path, help="a checkpoint, or a folder of checkpoints"
    )
    parser.add_argument("output_dir", type=Path, help="folder for the converted files")
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that the workflow's script has, too."""
    from posggym_es.sources.registry import SOURCE_NAMES

    parser.add_argument(
        "--action_processor",
        type=cli.json_of(ProcessorSpec.from_json),
        help="JSON of the processor to register with, instead of the derived one: "
        '{"name": "RescaleProcessor", "config": {"min_val": -1, "max_val": 1}}',
    )
    parser.add_argument(
        "--observations",
        type=int,
        default=MIN_OBSERVATIONS,
        help="number of observations to compare the policies on (minimum and default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--source",
        choices=SOURCE_NAMES,
        help="library that wrote the checkpoints; recognised by default",
    )
    cli.add_agent_argument(parser)
    cli.add_env_module_argument(parser)


def main(args: argparse.Namespace) -> None:
    """Convert, and print a line for each written file."""
    from posggym_es.conversion.folders import convert_folder

    written = convert_folder(
        args.checkpoint,
        args.output_dir,
        args.action_processor,
        args.observations,
        args.env_module,
        args.source,
        args.agent,
    )
    for path, report in written.items():
        proof = ", ".join(f"{k} {v}" for k, v in report["proof"].items())
        print(f"{path}: {proof}")
