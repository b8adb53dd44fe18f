#!/usr/bin/env python
"""Select the policy of a run, and write it in a safe format.

Reads `.pickle` policies of this trainer and of the original pgpelib, and checkpoints of
other libraries (docs/sources.md), without executing anything in them. Writes
`policy.safetensors` and `policy.json`, which include the returns that verification
compares with.

Examples
--------
    extract_checkpoint.py --source runs/full/humanoid/seed0/policies --output_dir OUT
    extract_checkpoint.py --source some_policy.pickle --episodes 8 --output_dir OUT
"""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from posggym_es.workflow import cli
from posggym_es.evaluation.extraction import extract
from posggym_es.sources.base import CHECKPOINTS
from posggym_es.sources.registry import SOURCE_NAMES


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--source", type=Path, required=True, help="a policy file or a folder of them"
    )
    parser.add_argument("--checkpoint", choices=CHECKPOINTS, default="latest")
    parser.add_argument(
        "--role", help="agent id of the policy, if the run trains several policies"
    )
    parser.add_argument(
        "--episodes",
        type=int,
        default=16,
        help="episodes to play if the trainer's re-evaluation cannot be used",
    )
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument(
        "--kind",
        choices=SOURCE_NAMES,
        help="kind of the source; recognised by default",
    )
    cli.add_agent_argument(parser)
    cli.add_env_module_argument(parser)
    args = parser.parse_args()

    with tqdm(total=args.episodes, unit="episode", disable=None) as bar:
        returns = extract(
            args.source,
            args.output_dir,
            args.checkpoint,
            args.episodes,
            args.role,
            on_episode=lambda _: bar.update(),
            env_modules=args.env_module,
            kind=args.kind,
            agent=args.agent,
        )
    print(f"mean return {sum(returns) / len(returns):.3f} over {len(returns)} episodes")


if __name__ == "__main__":
    cli.run(main)
