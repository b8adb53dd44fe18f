"""Steps per second of this trainer and of EvoTorch, on the same environment in one run.

Both train the paper's HumanoidBullet configuration with PGPE and ClipUp, in turns of
one generation: this trainer with workers, EvoTorch (GymNE) with as many Ray actors.
Needs EvoTorch: pip install evotorch==0.6.1

Example
-------
    python benchmarks/evotorch_comparison.py --popsize 1000 --repeats 4 --workers 2
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import gymnasium
from evotorch.algorithms import PGPE
from evotorch.neuroevolution import GymNE
from measuring import endless_config

from exact_gymnasium.ids import make_gymnasium
from pgpelib.training.loop import Training


def make_env() -> gymnasium.Env:
    """Make the training environment, in the reference form that EvoTorch plays."""
    return make_gymnasium("TinyTrajHumanoidBulletEnv-v0")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--popsize", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    config = endless_config(args.popsize, args.workers)
    problem = GymNE(
        make_env,
        "Linear(obs_length, 64) >> Tanh() >> Linear(64, act_length)",
        observation_normalization=True,
        num_actors=args.workers,
    )
    searcher = PGPE(
        problem,
        popsize=args.popsize,
        center_learning_rate=config.center_lr,
        stdev_learning_rate=config.stdev_lr,
        radius_init=config.radius,
        optimizer="clipup",
        optimizer_config={"max_speed": config.max_speed},
        ranking_method="centered",
    )

    def evotorch_generation() -> int:
        before = int(problem.status.get("total_interaction_count", 0))
        searcher.step()
        return int(problem.status["total_interaction_count"]) - before

    with (
        tempfile.TemporaryDirectory() as folder,
        Training(config, Path(folder)) as training,
    ):
        contestants = {
            "EvoTorch": evotorch_generation,
            "this trainer": lambda: training.step().metrics[0]["pop_timesteps"],
        }
        rates: dict[str, list[float]] = {name: [] for name in contestants}
        # The first generation starts actors and workers and is not counted.
        for repeat in range(args.repeats + 1):
            for name, generation in contestants.items():
                started = time.perf_counter()
                steps = generation()
                if repeat > 0:
                    rates[name].append(steps / (time.perf_counter() - started))
    for name, values in rates.items():
        print(
            f"{name}: median {statistics.median(values):,.0f} steps/s, "
            f"{min(values):,.0f} to {max(values):,.0f}"
        )
    ratios = [b / a for a, b in zip(*rates.values(), strict=True)]
    print(
        f"this trainer / EvoTorch: median {statistics.median(ratios):.2f}, "
        f"{min(ratios):.2f} to {max(ratios):.2f}"
    )


if __name__ == "__main__":
    main()
