"""Time until self-play in Driving-v1 reaches a return, restarts included.

Trains the experiment `driving` of `config/config.yaml`. The time counts from the start
of the workers to the first re-evaluation (1,000 episodes) that reaches the level.

Example
-------
    python benchmarks/driving_self_play.py --seeds 0 1 2 3 4 --out driving.png
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import yaml

from pgpelib.training.config import TrainingConfig
from pgpelib.training.loop import Training

CONFIG = Path(__file__).resolve().parents[1] / "config" / "config.yaml"
Curve = list[tuple[float, float]]


def train(settings: dict[str, object], folder: Path) -> tuple[Curve, int]:
    """Train, and return seconds and means of re-evaluations, and the generations."""
    with Training(TrainingConfig.from_dict(settings), folder) as training:
        training.run()
        generations = training.generation
    with (folder / "metrics.csv").open() as file:
        curve = [
            (float(row["elapsed"]), float(row["re_eval_mean"]))
            for row in csv.DictReader(file)
            if row["re_eval_mean"]
        ]
    return curve, generations


def draw(curves: dict[int, Curve], level: float, path: Path) -> None:
    """Draw the re-evaluations of all seeds over time."""
    figure, axes = plt.subplots(figsize=(7, 4))
    for seed, curve in curves.items():
        axes.plot(*zip(*curve, strict=True), label=f"seed {seed}")
    axes.axhline(level, color="gray", lw=0.5)
    axes.set(xlabel="seconds", ylabel="mean return, 1,000 episodes")
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--level", type=float, default=0.95)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="PNG of the curves")
    args = parser.parse_args()
    settings = yaml.safe_load(CONFIG.read_text())["experiments"]["driving"]["train"]
    settings |= {"num_cpus": args.workers, "target_return": args.level}
    curves: dict[int, Curve] = {}
    times = []
    for seed in args.seeds:
        with tempfile.TemporaryDirectory() as folder:
            curve, generations = train(settings | {"seed": seed}, Path(folder))
        curves[seed] = curve
        last, mean = curve[-1]
        times.append(last if mean >= args.level else float("inf"))
        print(
            f"seed {seed}: {mean:.3f} after {last:.1f} s, {generations} generations",
            flush=True,
        )
    print(f"median: {statistics.median(times):.1f} s until {args.level}")
    if args.out is not None:
        draw(curves, args.level, args.out)


if __name__ == "__main__":
    main()
