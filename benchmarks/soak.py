"""Memory and open files of master and workers over many episodes of training.

Trains with a linear policy, and looks at all processes after every generation. Fails if
memory or files keep growing: the last quarter is compared with the second, because the
first fills caches.

Example
-------
    python benchmarks/soak.py --env CartPole-v1 --episodes 200000
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import psutil
from tqdm import tqdm

from pgpelib.training.config import TrainingConfig
from pgpelib.training.loop import GenerationReport, Training

# Growth that allocators show without any leak.
ALLOWED_MEGABYTES = 20.0


def main() -> None:
    """Run the soak test."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="CartPole-v1", help="env_name of the trainer")
    parser.add_argument("--episodes", type=int, default=200_000)
    parser.add_argument("--popsize", type=int, default=1000)
    parser.add_argument("--num_cpus", type=int, default=2)
    args = parser.parse_args()
    config = TrainingConfig(
        env_name=args.env,
        hidden=(),
        niters=max(8, args.episodes // args.popsize),
        popsize=args.popsize,
        popsize_max=None,
        num_interactions=None,
        max_episode_length=100,
        max_speed=1e-6,
        center_lr=1e-6,
        radius=0.1,
        re_eval_interval=10**6,
        save_interval=10**6,
        num_cpus=args.num_cpus,
    )
    rows: list[tuple[float, float, int]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Training(config, Path(folder)) as training,
        tqdm(total=config.niters, unit="gen", disable=None) as bar,
    ):

        def look(_: GenerationReport) -> None:
            rows.append(usage())
            bar.update()

        training.run(look)
    quarter = len(rows) // 4
    early, late = rows[quarter : 2 * quarter], rows[-quarter:]
    grown = False
    for name, column, unit in (
        ("master", 0, "MB"),
        ("workers together", 1, "MB"),
        ("open files", 2, ""),
    ):
        before = statistics.median(row[column] for row in early)
        after = statistics.median(row[column] for row in late)
        allowed = 0 if column == 2 else ALLOWED_MEGABYTES
        grown |= after - before > allowed
        print(
            f"{name}: {before:.1f} {unit} in the second quarter, {after:.1f} at the end"
        )
    print(f"{config.niters * config.popsize:,} episodes of {args.env}")
    if grown:
        sys.exit("soak.py: something grows")


def usage() -> tuple[float, float, int]:
    """Return megabytes of this process and of its children, and open files of all."""
    own = psutil.Process()
    children = own.children(recursive=True)
    megabytes = [p.memory_info().rss / 2**20 for p in (own, *children)]
    return megabytes[0], sum(megabytes[1:]), sum(p.num_fds() for p in (own, *children))


if __name__ == "__main__":
    main()
