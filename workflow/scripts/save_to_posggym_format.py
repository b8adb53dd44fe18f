#!/usr/bin/env python
r"""Convert a trained policy to POSGGym's format, and prove that it acts the same.

Writes `policy.pkl`, which posggym's PPOPolicy loads, and `conversion.json`, with the
processors and a comparison of converted and trained policy over real rollouts.

Examples
--------
    save_to_posggym_format.py --checkpoint_dir DIR --output_dir DIR
    save_to_posggym_format.py --checkpoint P0_seed0.pt --output_dir DIR
    save_to_posggym_format.py --checkpoint ppo.zip --output_dir DIR \
        --agent env_name=CartPole-v1

Reads policies of this trainer (the one of the highest generation), checkpoints of
POSGGym's PPO baselines, Stable-Baselines3 and CleanRL, and other state dicts;
docs/sources.md says how. What has policy ids becomes <policy_id>.pkl, with the proof in
<policy_id>.json.
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from posggym_es.conversion.folders import convert_folder
from posggym_es.conversion.proof import MIN_OBSERVATIONS
from posggym_es.models.processors import ProcessorSpec
from posggym_es.sources.registry import SOURCE_NAMES


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--checkpoint_dir", type=Path, help="a folder of checkpoints, or one of them"
    )
    given.add_argument("--checkpoint", type=Path, help="the file of one checkpoint")
    parser.add_argument("--output_dir", type=Path, required=True)
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
    args = parser.parse_args()
    written = convert_folder(
        args.checkpoint_dir or args.checkpoint,
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


if __name__ == "__main__":
    cli.run(main)
