#!/usr/bin/env python
r"""Write the file with the policies that a run trains against, and their weights.

Partners that other runs have trained are chosen from those runs' saved policies. With
`--solve`, the weights are a Nash equilibrium of the game between the partners, if the
environment is a two-player zero-sum one; otherwise all are the same.

Examples
--------
    choose_partners.py --output partners.json --partners \
        '[{"weight": 1, "run_dir": "runs/full/sp/seed0", "checkpoint": "latest"}]'
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import write_json
from posggym_es.config.experiments import PlannedPartner
from posggym_es.evaluation.checkpoints import checkpoint_file
from posggym_es.tasks.family import POSGGYM_PREFIX


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--partners",
        type=cli.json_argument,
        required=True,
        help="JSON list with the fields of PlannedPartner",
    )
    parser.add_argument("--role", help="agent id that the run trains a policy for")
    parser.add_argument(
        "--solve", metavar="ENV", help="weights from the game in this environment"
    )
    parser.add_argument("--env_config", type=cli.json_argument, default={})
    parser.add_argument("--episodes", type=int, default=100, help="of each pair")
    parser.add_argument("--max_episode_length", type=int, default=-1)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    weights: dict[str, float] = {}
    for each in (PlannedPartner(**fields) for fields in args.partners):
        # A policy of the learner's own role never plays with it.
        if each.role is None or each.role != args.role or args.solve:
            name = each.name or str(
                checkpoint_file(
                    Path(each.run_dir) / "policies", each.role, each.checkpoint
                )
            )
            weights[name] = weights.get(name, 0.0) + each.weight
    if args.solve:
        # These import posggym, so only now.
        from posggym_es.evaluation.meta_strategies import mixture
        from posggym_es.evaluation.payoffs import Variant
        from posggym_es.tasks.posggym_envs import ENDLESS_LENGTH, complete_env_args

        env_id = args.solve.removeprefix(POSGGYM_PREFIX)
        variant = Variant(env_id, complete_env_args(env_id, args.env_config))
        limit = args.max_episode_length
        weights = mixture(
            variant,
            list(weights),
            args.role,
            args.episodes,
            limit if limit > 0 else ENDLESS_LENGTH,
        )
    write_json(args.output, weights)
    for name, weight in weights.items():
        print(f"{weight:g} {name}")


if __name__ == "__main__":
    cli.run(main)
