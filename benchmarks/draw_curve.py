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

import pandas as pd

from pgpelib.training.run_folder import METRICS_FILE
from posggym_es.reporting.charts import learning_curve


def draw(
    tables: Sequence[Path], title: str, published: float | None, output: Path
) -> None:
    """Draw learning curves.

    Parameters
    ----------
    tables
        `metrics.csv` of each run, named by its folder, or other files, by their names.
    title
        Heading.
    published
        Score of a published agent, drawn as a line; None for none.
    output
        The image file.
    """
    runs = {_label(path): pd.read_csv(path) for path in tables}
    levels = {} if published is None else {f"published: {published:g}": published}
    learning_curve(runs, levels, {}, title, output)


def _label(path: Path) -> str:
    return path.parent.name if path.name == METRICS_FILE else path.stem


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
