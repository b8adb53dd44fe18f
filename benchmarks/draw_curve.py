"""Draw the learning curve of runs from their `metrics.csv`, with a published score.

Example
-------
    python benchmarks/draw_curve.py runs/full/walker2d/seed0/metrics.csv \
        --title "Walker2d-v4" --published 5232 --output walker2d.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import pandas as pd

mpl.use("Agg")
from matplotlib import pyplot as plt


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
    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for number, path in enumerate(args.metrics):
        table, color = pd.read_csv(path), f"C{number}"
        axes.plot(
            table.timesteps,
            table.pop_median,
            color,
            alpha=0.6,
            label="population median",
        )
        seen = table.dropna(subset=["re_eval_mean"])
        axes.plot(
            seen.timesteps, seen.re_eval_mean, f"{color}o-", ms=4, label="re-evaluation"
        )
        low, high = seen.re_eval_min, seen.re_eval_max
        axes.fill_between(seen.timesteps, low, high, color=color, alpha=0.15)
    if args.published is not None:
        label = f"published agent: {args.published:g}"
        axes.axhline(args.published, color="grey", linestyle="--", label=label)
    axes.set(xlabel="simulator steps", ylabel="return", title=args.title)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(args.output, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
