#!/usr/bin/env python
"""Convert a trained policy to POSGGym's format, and prove that it acts the same.

Writes `policy.pkl`, which posggym's PPOPolicy loads, and `conversion.json`, with the
processors and a comparison of converted and trained policy over real rollouts.

Examples
--------
    save_to_posggym_format.py --checkpoint_dir DIR --output_dir DIR
    save_to_posggym_format.py --checkpoint_dir P0_seed0.pt --output_dir DIR

--checkpoint_dir is one of these folders, or a file in one:

- an extracted policy (policy.safetensors, policy.json)
- policies saved by the trainer (*.pickle); the one of the highest generation is used
- checkpoints of the PPO baselines (*.pt); the latest checkpoint_<update>_<policy_id>.pt
  of each policy id becomes <policy_id>.pkl, with its proof in <policy_id>.json. For
  other file names, the policy id is the name without .pt
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.conversion.folders import convert_folder
from posggym_es.conversion.proof import MIN_OBSERVATIONS
from posggym_es.models.processors import ProcessorSpec
from posggym_es.workflow import cli


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--checkpoint_dir", type=Path, required=True)
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
    cli.add_env_module_argument(parser)
    args = parser.parse_args()
    written = convert_folder(
        args.checkpoint_dir,
        args.output_dir,
        args.action_processor,
        args.observations,
        args.env_module,
    )
    for path, report in written.items():
        proof = ", ".join(f"{k} {v}" for k, v in report["proof"].items())
        print(f"{path}: {proof}")


if __name__ == "__main__":
    cli.run(main)
