"""Returns of registered agents in self-play and cross-play, as a Markdown table.

Each row is an agent, each column its partner; a cell is the mean return of the row's
agents over the same seeded episodes for every pair, with half its 95 % interval. In
self-play an agent has all places, in cross-play one of them in turn.

Example
-------
    python benchmarks/compare_agents.py --posggym_tree results/driving/posggym-tree \
        --models_dir ~/posggym-agent-models --env Driving-v1 \
        --env_args '{"grid": "14x14RoundAbout", "num_agents": 2}' --policies ID ID ...

`--models_dir` is a copy of POSGGym's models repository; its files are put into the
tree, where POSGGym would otherwise download them to.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tqdm import tqdm

from posggym_es import cli
from posggym_es.spec import ASSETS_ROOT, MODELS_ROOT


def main() -> None:
    """Run the comparison."""
    parser = cli.parser(__doc__)
    parser.add_argument("--posggym_tree", type=Path, required=True)
    parser.add_argument("--models_dir", type=Path)
    parser.add_argument("--env", required=True)
    parser.add_argument("--env_args", type=cli.json_argument, default={})
    parser.add_argument("--policies", nargs="+", required=True)
    parser.add_argument("--episodes", type=int, default=100)
    args = parser.parse_args()
    if args.models_dir is not None:
        shutil.copytree(
            args.models_dir / MODELS_ROOT,
            args.posggym_tree / ASSETS_ROOT,
            dirs_exist_ok=True,
        )
    cli.use_posggym_tree(args.posggym_tree)
    # These import posggym, so only now.
    import posggym.agents
    import torch

    from posggym_es.agents import mean_interval
    from posggym_es.environments import make_episodes
    from posggym_es.playing import Company, Player

    names = [policy_id.rpartition("/")[2] for policy_id in args.policies]
    torch.set_num_threads(1)
    print(f"| | {' | '.join(names)} |\n" + "|---" * (len(names) + 1) + "|")
    pairs = len(names) ** 2 * args.episodes
    with tqdm(total=pairs, unit="episode", disable=None) as bar:
        for policy_id, name in zip(args.policies, names, strict=True):
            cells = []
            for partner in args.policies:
                company = Company(partners=[partner] if partner != policy_id else [])

                def own(model, agent, policy_id=policy_id):
                    return posggym.agents.make(policy_id, model, agent)

                player = Player(make_episodes(args.env, args.env_args), company, own)
                returns = []
                for seed in range(args.episodes):
                    returns.append(player.play(seed)[0])
                    bar.update()
                mean, margin = mean_interval(returns)
                cells.append(f"{mean:.2f} ± {margin:.2f}")
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    cli.run(main)
