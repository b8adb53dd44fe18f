"""Tables and curves of best responses beside those of POSGGym's PPO baselines.

Reads what `best_responses.py` wrote. Intervals are those of the bootstrap over seeds
(95 %, percentiles).

Example
-------
    python benchmarks/best_response_report.py br-ppo results --curves curves
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from best_responses import published
from scipy import stats

mpl.use("Agg")
from matplotlib import pyplot as plt

# The baselines' speed on two cores.
PPO_STEPS_PER_SECOND = 6300
POINTS = 60
COLORS = {"P0": "tab:blue", "P1": "tab:orange"}


def interquartile_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    """Return the mean without the lowest and the highest quarter."""
    return np.asarray(stats.trim_mean(values, 0.25, axis=axis))


def with_interval(values: pd.Series, statistic: object = np.mean) -> str:
    """Format a statistic of the values of seeds and its bootstrap interval."""
    data = values.to_numpy()
    shown = f"{statistic(data):z.2f}"
    if len(data) < 3:
        return shown
    low, high = stats.bootstrap(
        (data,), statistic, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    return f"{shown} [{low:z.2f}, {high:z.2f}]"


def cells(data: Path, returns: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each environment and pair of populations."""
    rows = []
    for (env, train, test), group in returns.groupby(["env", "train_pop", "test_pop"]):
        ppo = published(data / str(env))
        ppo = ppo[(ppo.train_pop == train) & (ppo.test_pop == test)]["return"]
        rows.append(
            {
                "Environment": env,
                "Trained with": train,
                "Tested with": test,
                "Seeds": len(group),
                "Mean return": with_interval(group["return"]),
                "Interquartile mean": with_interval(
                    group["return"], interquartile_mean
                ),
                "PPO": with_interval(ppo),
            }
        )
    return pd.DataFrame(rows)


def draw(data: Path, curves: pd.DataFrame, env: str, output: Path) -> None:
    """Draw the curves of an environment over time, with PPO's at its speed."""
    figure, axes = plt.subplots(figsize=(7, 4))
    for population, runs in curves[curves.env == env].groupby("train_pop"):
        color = COLORS[str(population)]
        for i, (_, run) in enumerate(runs.groupby("seed")):
            axes.plot(
                run.elapsed / 60,
                run.re_eval_mean,
                color=color,
                label=f"best response to {population}" if i == 0 else None,
            )
        path = data / env / f"{population}_br_training_results.csv"
        ppo = pd.read_csv(path)
        bins = pd.cut(ppo.step, POINTS)
        mean = ppo.groupby(bins, observed=True)[["step", "mean_episode_return"]].mean()
        axes.plot(
            mean.step / PPO_STEPS_PER_SECOND / 60,
            mean.mean_episode_return,
            color=color,
            linestyle="dashed",
            label=f"PPO's best response to {population}",
        )
    axes.set(
        title=env,
        xlabel=f"minutes (PPO: {PPO_STEPS_PER_SECOND:,} steps/s)",
        ylabel="mean return with the population",
        xscale="log",
    )
    axes.legend()
    figure.savefig(output, dpi=100, bbox_inches="tight")
    plt.close(figure)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with a folder per environment")
    parser.add_argument("results", type=Path, help="folder of best_responses.py")
    parser.add_argument("--curves", type=Path, help="folder for pictures of curves")
    args = parser.parse_args()
    table = cells(args.data, pd.read_csv(args.results / "returns.csv"))
    print(table.to_markdown(index=False))
    if args.curves:
        args.curves.mkdir(parents=True, exist_ok=True)
        curves = pd.read_csv(args.results / "curves.csv")
        for env in curves.env.unique():
            draw(args.data, curves, env, args.curves / f"best_response_{env}.png")


if __name__ == "__main__":
    main()
