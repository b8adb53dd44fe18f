"""Speed of real training on HumanoidBullet against the physical limit, in one run.

Each repeat trains one generation with the paper's policy (everything included: noise,
forward passes, observation statistics, ranking, gradients, update, checkpoint), and
replays the torques of the very same episodes in as many processes as there are workers,
in the reference's world with nothing read from the simulator: that is the limit.

Example
-------
    python benchmarks/training.py --popsize 2000 --repeats 5 --workers 2
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import gymnasium
import numpy as np
from bullet_humanoid import Episode, reference_replayer
from measuring import endless_config, measure_limit
from pybullet_envs_gymnasium.gym_locomotion_envs import HumanoidBulletEnv

from pgpelib.engines.evaluation import Normalization, TaskConfig
from pgpelib.policies.networks import Network, fold_normalization
from pgpelib.search.pgpe import EPISODE_STREAM, SearchDistribution, episode_seed
from pgpelib.tasks.bullet_humanoid import FastHumanoidBullet
from pgpelib.training.loop import Training


def record(
    env: FastHumanoidBullet,
    config: TaskConfig,
    distribution: SearchDistribution,
    normalization: Normalization,
    indices: range,
) -> list[Episode]:
    """Play solutions as training does, and keep the torques."""
    architecture = config.architecture(config.training_task())
    episodes = []
    for index in indices:
        solution = distribution.pair(index // 2)[index % 2]
        layers = architecture.layers(solution)
        network = Network(
            fold_normalization(layers, normalization.mean, normalization.stdev),
            config.activation,
        )
        seed = episode_seed(
            distribution.seed, EPISODE_STREAM, distribution.generation, index
        )
        generator, _ = gymnasium.utils.seeding.np_random(seed)
        joints = generator.uniform(-0.1, 0.1, 17).tolist()
        observation, _ = env.reset(seed=seed)
        actions, done = [], False
        while not done:
            outputs = network(observation.astype(np.float64))
            actions.append(np.clip(outputs, -1.0, 1.0).astype(np.float32))
            observation, _, terminated, truncated, _ = env.step(actions[-1])
            done = terminated or truncated
        torques = [env.torques(action) for action in actions]
        episodes.append(Episode(seed, joints, actions, torques))
    return episodes


def limit_process(pipe: Connection, config: TaskConfig) -> None:
    """Record the episodes asked for, then replay them on command."""
    env = FastHumanoidBullet(200, alive_bonus=False)
    replay = reference_replayer(HumanoidBulletEnv())
    while True:
        request = pipe.recv()
        if request is None:
            return
        episodes = record(env, config, *request)
        pipe.send(sum(len(episode.torques) for episode in episodes))
        pipe.recv()
        for episode in episodes:
            replay(episode)
        pipe.send(None)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--popsize", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    config = endless_config(args.popsize, args.workers)
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(args.workers)]
    processes = [
        context.Process(target=limit_process, args=(theirs, config.task), daemon=True)
        for _, theirs in pairs
    ]
    for process in processes:
        process.start()
    pipes = [ours for ours, _ in pairs]
    ratios = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Training(config, Path(folder)) as training,
    ):
        # Starts the workers.
        training.calibrate(0.1)
        for _ in range(args.repeats):
            (learner,) = training.learners
            now = learner.pgpe.distribution, learner.normalization()
            steps, limit = measure_limit(
                pipes, lambda indices, now=now: (*now, indices), config.popsize
            )
            started = time.perf_counter()
            (metrics,) = training.step().metrics
            seconds = time.perf_counter() - started
            assert metrics["pop_timesteps"] == steps
            ratios.append(limit / seconds)
            print(
                f"generation {metrics['generation']}: {steps} steps, training "
                f"{steps / seconds:,.0f} steps/s, limit {steps / limit:,.0f} steps/s, "
                f"ratio {ratios[-1]:.3f}",
                flush=True,
            )
    for pipe in pipes:
        pipe.send(None)
    print(
        f"training / limit: median {statistics.median(ratios):.3f}, "
        f"{min(ratios):.3f} to {max(ratios):.3f}"
    )


if __name__ == "__main__":
    main()
