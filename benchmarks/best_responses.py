"""Best responses to POSGGym's populations, compared with those of its PPO baselines.

Trains a best response to each population of partners for a time, and plays it with the
population that it was trained with and with the other one. The data folder has one
folder per environment, as the baselines publish them: `env_kwargs.yaml`,
`agents_P0.yaml` and `agents_P1.yaml` (partners by the agent id that they play), and
`br_results.csv` (the returns of PPO's best responses).

With several `--settings`, the search has as many stages, and each starts from the
policy of the one before. A stage with `roles: []` and `partners: []` trains in
self-play. The policy of each stage is kept in `policies/` in the output folder.

Examples
--------
    python benchmarks/best_responses.py br-ppo Driving-v1 --minutes 10 --out results
    python benchmarks/best_responses.py br-ppo PredatorPrey-v0 --out results \
        --minutes 2 10 --settings '{hidden: [32]}' '{hidden: [32], lstm_size: 48}'
    python benchmarks/best_response_report.py br-ppo results
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml

from pgpelib.engines.evaluation import (
    Normalization,
    Population,
    Work,
    Worker,
    block_size,
)
from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.saving import save_policy
from pgpelib.training.config import TrainingConfig
from pgpelib.training.learner import Learner
from pgpelib.training.loop import GenerationReport, Training

POPULATIONS = ("P0", "P1")
RUN = ("env", "train_pop", "seed")
RETURNS = (*RUN, "test_pop", "return")
CURVES = (*RUN, "elapsed", "timesteps", "re_eval_mean")
# Seed of the evaluation episodes, which all best responses play.
EVALUATION_SEED = 2**31

# What all best responses are trained with.
RECIPE: dict[str, Any] = {
    "niters": 10**6,
    "hidden": [],
    "stochastic": True,
    "episodes_per_solution": 2,
    "popsize": 500,
    "re_eval_num_episodes": 1000,
    "keep_best": True,
    "save_interval": 10**6,
}


class Game:
    """An environment of the data folder, and its two populations of partners.

    Parameters
    ----------
    folder
        Folder of the environment.
    """

    def __init__(self, folder: Path) -> None:
        env = yaml.safe_load((folder / "env_kwargs.yaml").read_text())
        self.env_name = f"posggym:{env['env_id']}"
        self.env_config = env["env_kwargs"]
        self.partners: dict[str, tuple[str, ...]] = {}
        for name in POPULATIONS:
            by_agent = yaml.safe_load((folder / f"agents_{name}.yaml").read_text())
            ((agent, policies),) = by_agent.items()
            self.role = str(1 - int(agent))
            self.partners[name] = tuple(policies)
        returns = published(folder).groupby(["train_pop", "test_pop"])["return"]
        self.published = returns.mean()

    def config(self, population: str, **settings: Any) -> TrainingConfig:
        """Return the setting of the best response to a population."""
        return TrainingConfig.from_dict(
            {
                "env_name": self.env_name,
                "env_config": self.env_config,
                "roles": [self.role],
                "partners": list(self.partners[population]),
                **settings,
            }
        )


def published(folder: Path) -> pd.DataFrame:
    """Return the mean return of each of PPO's best responses with each population.

    Columns are train_pop, test_pop, train_seed and return.
    """
    table = pd.read_csv(folder / "br_results.csv")
    keys = ["train_pop", "test_pop", "train_seed"]
    return table.groupby(keys, as_index=False)["return"].mean()


def evaluate(
    training: Training, learner: Learner, partners: tuple[str, ...], episodes: int
) -> npt.NDArray[np.float64]:
    """Return the returns of the best center so far with some partners."""
    best = learner.best_with(learner.candidate())
    normalization = Normalization()
    if training.config.obs_norm:
        normalization = Normalization(best.obs_stats.mean, best.obs_stats.stdev)
    distribution = dataclasses.replace(
        learner.pgpe.distribution,
        center=best.center,
        seed=EVALUATION_SEED,
        generation=0,
    )
    population = Population(distribution, normalization, learner.role)
    task = dataclasses.replace(training.config.task, partners=partners)
    compiled = task.uncompiled_reason() is None
    worker = Worker(dataclasses.replace(task, compiled=compiled))
    work = Work(population, 0, episodes, True, block_size(episodes))
    return np.array([rollout.fitness for rollout in worker.play(work)])


def train(
    game: Game,
    population: str,
    stages: Sequence[tuple[dict[str, Any], float]],
    episodes: int,
    policies: Path,
) -> tuple[dict[str, float], list[tuple[float, int, float]]]:
    """Train a best response, and return its mean returns and its curve.

    Parameters
    ----------
    game
        The environment.
    population
        What the best response is trained with.
    stages
        Settings and minutes of each stage.
    episodes
        Episodes with each population.
    policies
        Folder for the policy of each stage.

    Returns
    -------
    tuple
        Mean return by population, and the re-evaluations of stages with partners:
        seconds and steps since the first stage began, and mean return.
    """
    curve: list[tuple[float, int, float]] = []
    seconds, steps = 0.0, 0

    def on_generation(report: GenerationReport) -> None:
        (metrics,) = report.metrics
        elapsed, timesteps, mean = (metrics[key] for key in CURVES[-3:])
        if mean is not None:
            seen = seconds + elapsed, steps + timesteps, mean
            curve.append(seen)
            print("{:.0f} s, {:,} steps: {:.3f}".format(*seen), flush=True)

    files = [policies / f"stage{number}.pickle" for number in range(len(stages))]
    # Settings that do not fit are refused before the first stage begins.
    configs = []
    for number, (settings, _) in enumerate(stages):
        start = {"init_policy": str(files[number - 1])} if number else {}
        configs.append(game.config(population, **settings | start))
    policies.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for config, (_, minutes), file in zip(configs, stages, files, strict=True):
            with Training(config, Path(folder) / file.stem) as training:
                begin = time.monotonic()
                training.run(
                    on_generation if config.partners else None,
                    deadline=begin + 60 * minutes,
                )
                # A target_return can end a stage before its time is over.
                seconds += time.monotonic() - begin
            (learner,) = training.learners
            best = learner.best_with(learner.candidate())
            save_policy(learner.policy(best, PolicyMetadata()), file)
            steps += training.timesteps
        return {
            name: float(evaluate(training, learner, partners, episodes).mean())
            for name, partners in game.partners.items()
        }, curve


def append(
    path: Path,
    header: tuple[str, ...],
    run: tuple[object, ...],
    rows: Iterable[tuple[object, ...]],
) -> None:
    """Append the rows of a run to a CSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if is_new:
            writer.writerow(header)
        writer.writerows((*run, *row) for row in rows)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with a folder per environment")
    parser.add_argument("env", help="name of the environment's folder")
    parser.add_argument("--populations", nargs="+", default=POPULATIONS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--minutes", type=float, nargs="+", default=[30], help="one number a stage"
    )
    parser.add_argument("--workers", type=int, default=-1)
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument(
        "--settings",
        type=yaml.safe_load,
        nargs="+",
        default=[{}],
        help="other settings of each stage, as YAML",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder of returns.csv, curves.csv (both appended to) and policies/",
    )
    args = parser.parse_args()
    if len(args.minutes) != len(args.settings):
        parser.error("--minutes and --settings need one value for each stage")
    game = Game(args.data / args.env)
    for population in args.populations:
        for seed in args.seeds:
            common = RECIPE | {"num_cpus": args.workers, "seed": seed}
            settings = [common | own for own in args.settings]
            stages = list(zip(settings, args.minutes, strict=True))
            run = args.env, population, seed
            policies = args.out / "policies" / "-".join(map(str, run))
            means, curve = train(game, population, stages, args.episodes, policies)
            append(args.out / "returns.csv", RETURNS, run, means.items())
            append(args.out / "curves.csv", CURVES, run, curve)
            for tested, mean in means.items():
                published = game.published[population, tested]
                print(
                    f"{args.env}, seed {seed}: trained with {population}, tested with "
                    f"{tested}: {mean:.3f} (PPO {published:.3f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
