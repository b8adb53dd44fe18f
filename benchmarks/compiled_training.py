"""Speed of training with compiled kernels against the kernels alone, in one run.

Each repeat trains one generation (everything included: noise, episodes, observation
statistics, messages, ranking, gradients, update, checkpoint, re-evaluations that are
due), and plays the very same episodes with the kernels in as many processes as there
are workers: that is the limit.

Example
-------
    python benchmarks/compiled_training.py --repeats 40 --workers 2
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from measuring import measure_limit

from pgpelib.engines.evaluation import Normalization, TaskConfig
from pgpelib.search.pgpe import EPISODE_STREAM, SearchDistribution, episode_seeds
from pgpelib.training.config import TrainingConfig
from pgpelib.training.loop import Training
from posggym_compiled.rollouts import Players
from posggym_es.tasks.compiled_task import compiled, compiled_world


def solutions_and_seeds(
    config: TaskConfig, distribution: SearchDistribution, indices: range
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return solutions of a generation and the seeds of their episodes."""
    solutions = [distribution.pair(index // 2)[index % 2] for index in indices]
    seeds = [
        episode_seeds(
            distribution.seed,
            EPISODE_STREAM,
            distribution.generation,
            0 if config.common_seeds else index,
            distribution.learner,
            config.episodes_per_solution,
        )
        for index in indices
    ]
    return solutions, np.array(seeds, np.uint64)


def limit_process(pipe: Connection, config: TaskConfig) -> None:
    """Prepare the episodes asked for, then play them on command."""
    env_id = config.env_name.partition(":")[2]
    players = Players(
        compiled_world(env_id, config.env_config),
        compiled(config.architecture(config.training_task())),
    )
    while True:
        request = pipe.recv()
        if request is None:
            return
        distribution, normalization, indices = request
        solutions, seeds = solutions_and_seeds(config, distribution, indices)
        episodes = np.stack(solutions), seeds
        moments = {"mean": normalization.mean, "stdev": normalization.stdev}
        pipe.send(int(players.play(*episodes, **moments).steps.sum()))
        pipe.recv()
        players.play(*episodes, **moments)
        pipe.send(None)


def training_config(args: argparse.Namespace) -> TrainingConfig:
    """Return the setting that is measured."""
    return TrainingConfig(
        env_name=f"posggym:{args.env}",
        hidden=tuple(args.hidden),
        popsize=args.popsize,
        popsize_max=None,
        num_interactions=None,
        episodes_per_solution=args.episodes,
        common_seeds=True,
        obs_norm=args.obs_norm,
        niters=10**6,
        re_eval_interval=10,
        re_eval_num_episodes=1000,
        save_interval=10**6,
        num_cpus=args.workers,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", default="Driving-v1", help="POSGGym id")
    parser.add_argument("--hidden", type=int, nargs="*", default=[])
    parser.add_argument("--popsize", type=int, default=500)
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--obs_norm", action="store_true")
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    config = training_config(args)
    context = multiprocessing.get_context("spawn")
    task = config.task
    pairs = [context.Pipe() for _ in range(args.workers)]
    processes = [
        context.Process(target=limit_process, args=(theirs, task), daemon=True)
        for _, theirs in pairs
    ]
    for process in processes:
        process.start()
    pipes = [ours for ours, _ in pairs]
    totals = {"training": 0.0, "kernels": 0.0}
    all_steps, ratios = 0, []
    with (
        tempfile.TemporaryDirectory() as folder,
        Training(config, Path(folder)) as training,
    ):
        # Starts the workers.
        training.calibrate(0.1)
        for _ in range(args.repeats):
            (learner,) = training.learners
            normalization: Normalization = learner.normalization()
            now = learner.pgpe.distribution, normalization
            steps, limit = measure_limit(
                pipes, lambda indices, now=now: (*now, indices), config.popsize
            )
            started = time.perf_counter()
            (metrics,) = training.step().metrics
            seconds = time.perf_counter() - started
            assert metrics["pop_timesteps"] == steps
            ratios.append(limit / seconds)
            totals["training"] += seconds
            totals["kernels"] += limit
            all_steps += steps
    for pipe in pipes:
        pipe.send(None)
    for name, seconds in totals.items():
        print(f"{name}: {all_steps / seconds:,.0f} joint steps/s")
    print(
        f"training / kernels: {totals['kernels'] / totals['training']:.3f} over all "
        f"{args.repeats} generations; median {statistics.median(ratios):.3f}, "
        f"{min(ratios):.3f} to {max(ratios):.3f}"
    )


if __name__ == "__main__":
    main()
