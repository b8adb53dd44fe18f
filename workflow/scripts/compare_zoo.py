#!/usr/bin/env python
"""Play the zoo's agents with each other and with POSGGym's own.

Only environments with new agents are played. POSGGym downloads its own policies.

Examples
--------
    compare_zoo.py --zoo zoo --episodes 100 --workers 2 --state runs/zoo
    compare_zoo.py --zoo zoo --models_dir posggym-agent-models --state runs/zoo
"""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from posggym_es.workflow import cli
from pgpelib.utils.files import atomic_directory
from posggym_es.registration.spec import ASSETS_ROOT, MODELS_ROOT
from posggym_es.registration.staging import copy_models, copy_package, installed_posggym


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument(
        "--models_dir",
        type=Path,
        help="local copy of POSGGym's models repository, instead of downloads",
    )
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--state", type=Path, required=True)
    args = parser.parse_args()
    # A copy, because POSGGym downloads files into its own folder.
    tree = args.state / "posggym-tree"
    with atomic_directory(tree) as new:
        copy_package(installed_posggym(), new)
        if args.models_dir is not None:
            copy_models(args.models_dir / MODELS_ROOT, new / ASSETS_ROOT)
    cli.use_posggym_tree(tree)
    # These import posggym, so only now.
    from posggym_es.agents.run_time import register_agents
    from posggym_es.publishing.zoo_payoffs import update_payoffs, variants_of

    register_agents(args.zoo)
    for file, variant in variants_of(args.zoo).items():
        with tqdm(desc=variant.env_id, unit="pair", disable=None) as bar:
            update_payoffs(
                file,
                variant,
                args.zoo,
                args.episodes,
                args.workers,
                args.state / "pairs",
                lambda bar=bar: bar.update(),  # type: ignore[misc]
            )
        print(file)


if __name__ == "__main__":
    cli.run(main)
