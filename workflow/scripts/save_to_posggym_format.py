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
from posggym_es.commands import convert


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument(
        "--checkpoint_dir",
        dest="checkpoint",
        type=Path,
        help="a folder of checkpoints, or one of them",
    )
    given.add_argument("--checkpoint", type=Path, help="the file of one checkpoint")
    parser.add_argument("--output_dir", type=Path, required=True)
    convert.add_options(parser)
    convert.main(parser.parse_args())


if __name__ == "__main__":
    cli.run(main)
