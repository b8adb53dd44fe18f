#!/usr/bin/env python
r"""Copy the policy of a training run that the search of another run starts from.

Examples
--------
    choose_starting_policy.py runs/full/sp/seed0/policies --checkpoint best \
        --output start.pickle
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import write_bytes
from posggym_es.evaluation.checkpoints import checkpoint_file


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("policies", type=Path, help="folder of the run's policies")
    parser.add_argument(
        "--role", help="agent id of the policy, if the run trains several policies"
    )
    parser.add_argument(
        "--checkpoint",
        default="latest",
        help="latest, best, initial, middle, final, or a generation",
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    file = checkpoint_file(args.policies, args.role, args.checkpoint)
    write_bytes(args.output, file.read_bytes())
    print(f"{args.output}: {file}")


if __name__ == "__main__":
    cli.run(main)
