"""Draw the learning curve of runs from their `metrics.csv`, with a published score.

Example
-------
    python benchmarks/draw_curve.py runs/full/walker2d/seed0/metrics.csv \
        --title "Walker2d-v4" --published 5232 --output walker2d.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
from matplotlib import pyplot as plt


def draw(
    tables: Sequence[Path], title: str, published: float | None, output: Path
) -> None:
    """Draw learning curves.

    Parameters
    ----------
    tables
        `metrics.csv` of each run. The legend names several runs by their folders.
    title
        Heading.
    published
        Score of a published agent, drawn as a line; None for none.
    output
        The image file.
    """
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for number, path in enumerate(tables):
        table, color = pd.read_csv(path), f"C{number}"
        run = "" if len(tables) == 1 else f"{path.parent.name}, "
        population, re_evaluation = f"{run}population median", f"{run}re-evaluation"
        axes.plot(table.timesteps, table.pop_median, color, alpha=0.6, label=population)
        seen = table.dropna(subset=["re_eval_mean"])
        axes.plot(
            seen.timesteps, seen.re_eval_mean, f"{color}o-", ms=4, label=re_evaluation
        )
        low, high = seen.re_eval_min, seen.re_eval_max
        axes.fill_between(seen.timesteps, low, high, color=color, alpha=0.15)
    if published is not None:
        label = f"published agent: {published:g}"
        axes.axhline(published, color="grey", linestyle="--", label=label)
    axes.set(xlabel="simulator steps", ylabel="return", title=title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(output, dpi=110, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("metrics", type=Path, nargs="+")
    parser.add_argument("--title", required=True)
    parser.add_argument("--published", type=float)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    draw(args.metrics, args.title, args.published, args.output)


if __name__ == "__main__":
    main()
