#!/usr/bin/env python
r"""Play all registered policies of an environment with each other.

For each set of arguments that an agent of the pipeline was trained for, writes the
payoff matrix with confidence intervals (CSV, heat map, page), regret, and the diversity
of the population. POSGGym's own policies are included; those that cannot be created are
listed with the reason. An interrupted run resumes where it stopped.

Examples
--------
    cross_play.py --posggym_tree TREE --env Driving-v1 --specs a/spec.json b/spec.json \
        --episodes 100 --workers 2 --state runs/crossplay --output results/crossplay
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from tqdm import tqdm

from posggym_es.workflow import cli
from pgpelib.utils.files import atomic_directory
from posggym_es.config.scales import FULL_SCALE
from posggym_es.evaluation.payoffs import Variant
from posggym_es.registration.spec import ASSETS_ROOT, MODELS_ROOT, AgentSpec
from posggym_es.registration.staging import copy_models


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--posggym_tree", type=Path, required=True)
    parser.add_argument(
        "--models_dir",
        type=Path,
        help="local copy of POSGGym's models repository, instead of downloads",
    )
    parser.add_argument("--env", required=True, help="POSGGym id")
    parser.add_argument("--specs", type=Path, nargs="+", required=True)
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--scale", default=FULL_SCALE, help="scale of the config")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--index", type=Path, help="page of all experiments, to write again"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # A copy, because POSGGym downloads files into its tree.
    tree = args.state / "posggym-tree"
    if args.models_dir is not None:
        copy_models(args.models_dir / MODELS_ROOT, tree / ASSETS_ROOT)
    # After the models, so that the pipeline's own agents take precedence.
    shutil.copytree(args.posggym_tree, tree, dirs_exist_ok=True)
    cli.use_posggym_tree(tree)
    # These import posggym, so only now.
    from posggym_es.evaluation.crossplay import play_all, policies_of, usable
    from posggym_es.reporting.html_pages import crossplay_folder, write_index
    from posggym_es.tasks.posggym_envs import complete_env_args

    specs = [AgentSpec.read(path) for path in args.specs]
    variants: dict[str, Variant] = {}
    for spec in specs:
        if spec.env_id == args.env:
            arguments = complete_env_args(spec.env_id, spec.env_args or {})
            variant = Variant(spec.env_id, arguments)
            variants[variant.name] = variant
    if not variants:
        raise ValueError(f"{args.env}: no agents were trained for this environment")
    with atomic_directory(args.output) as output:
        for variant in variants.values():
            policies, left_out = usable(variant, list(policies_of(variant)))
            for policy_id, reason in left_out.items():
                # Begins like the step's name, so that the short logger shows it.
                print(f"{args.env}: left out {policy_id}: {reason}", flush=True)
            with tqdm(total=len(policies) ** 2, unit="pair", disable=None) as bar:
                table = play_all(
                    variant,
                    policies,
                    args.episodes,
                    args.workers,
                    args.state / "pairs",
                    lambda bar=bar: bar.update(),  # type: ignore[misc]
                )
            crossplay_folder(
                variant, table, left_out, output / variant.name, args.scale
            )
    if args.index is not None:
        write_index(args.index)
    print(f"results: {args.output}")


if __name__ == "__main__":
    cli.run(main)
