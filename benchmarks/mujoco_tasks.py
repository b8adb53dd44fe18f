"""Speed of real training on MuJoCo tasks against bare `mj_step`, in one run.

Each repeat trains one generation at the paper's setting (everything included: noise,
forward passes, observation statistics, ranking, gradients, update, checkpoint), and
replays the actions of the very same episodes in as many processes as there are workers,
with nothing but the reset, setting the controls and `mj_step`: that is the limit.

The population is scored as in training, so policies get better from repeat to repeat
and episodes longer; `--generations` trains before the measurement begins.

Example
-------
    python benchmarks/mujoco_tasks.py --repeats 5 --workers 2
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import mujoco
import numpy as np
from measuring import measure_limit

from pgpelib.engines.evaluation import Population, TaskConfig
from pgpelib.policies.networks import Network, fold_normalization
from pgpelib.search.pgpe import EPISODE_STREAM, episode_seed
from pgpelib.tasks.fast_mujoco import FastHumanoid, FastMujoco, FastWalker2d
from pgpelib.training.config import TrainingConfig
from pgpelib.training.loop import Training

# The paper's settings that matter for speed.
SETTINGS = {
    "Walker2d-v4": {
        "popsize": 100,
        "num_interactions": 75000,
        "popsize_max": 800,
        "max_speed": 0.015,
        "radius": 0.225,
        "decrease_rewards_by": 1.0,
    },
    "Humanoid-v4": {
        "popsize": 200,
        "num_interactions": 50000,
        "popsize_max": 3200,
        "max_speed": 0.015,
        "radius": 0.27,
        "decrease_rewards_by": 5.0,
    },
}
ENVS: dict[str, type[FastMujoco]] = {
    "Walker2d-v4": FastWalker2d,
    "Humanoid-v4": FastHumanoid,
}


@dataclasses.dataclass
class Episode:
    """The actions of an episode."""

    seed: int
    actions: list[np.ndarray]


def record(
    env: FastMujoco, config: TaskConfig, population: Population, indices: range
) -> list[Episode]:
    """Play solutions as training does, and keep the actions."""
    task = config.training_task()
    architecture = config.architecture(task)
    distribution, normalization = population.distribution, population.normalization
    episodes = []
    for index in indices:
        solution = distribution.pair(index // 2)[index % 2]
        layers = fold_normalization(
            architecture.layers(solution), normalization.mean, normalization.stdev
        )
        act = Network(layers, config.activation).start()
        seed = episode_seed(
            distribution.seed, EPISODE_STREAM, distribution.generation, index
        )
        observation, _ = env.reset(seed=seed)
        actions, done = [], False
        while not done:
            actions.append(task.action.decode(act(observation)).astype(np.float32))
            observation, _, terminated, truncated, _ = env.step(actions[-1])
            done = terminated or truncated
        episodes.append(Episode(seed, actions))
    return episodes


def limit_process(pipe: Connection, env_name: str, config: TaskConfig) -> None:
    """Record the episodes asked for, then replay them on command."""
    env = ENVS[env_name]()
    model, data, frame_skip = env._model, env._data, env._frame_skip
    step, ctrl = mujoco.mj_step, data.ctrl
    while True:
        request = pipe.recv()
        if request is None:
            return
        episodes = record(env, config, *request)
        pipe.send(sum(len(episode.actions) for episode in episodes))
        pipe.recv()
        for episode in episodes:
            env.reset(seed=episode.seed)
            for action in episode.actions:
                ctrl[:] = action
                step(model, data, frame_skip)
        pipe.send(None)


def measure(env_name: str, args: argparse.Namespace) -> None:
    """Print the ratio for one environment."""
    config = TrainingConfig.from_dict(
        {
            **SETTINGS[env_name],
            "env_name": env_name,
            "hidden": [],
            "center_lr": 0.0075,
            "niters": 10**6,
            "re_eval_interval": 10**6,
            "save_interval": 10**6,
            "num_cpus": args.workers,
        }
    )
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(args.workers)]
    for _, theirs in pairs:
        context.Process(
            target=limit_process, args=(theirs, env_name, config.task), daemon=True
        ).start()
    pipes = [ours for ours, _ in pairs]
    ratios = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Training(config, Path(folder)) as training,
    ):
        for _ in range(args.generations):
            training.step()
        for _ in range(args.repeats):
            population = training.learners[0].population([])
            steps, limit = measure_limit(
                pipes, lambda indices, now=population: (now, indices), config.popsize
            )
            started = time.perf_counter()
            (metrics,) = training.step().metrics
            seconds = time.perf_counter() - started
            rates = metrics["pop_timesteps"] / seconds, steps / limit
            ratios.append(rates[0] / rates[1])
            print(
                f"{env_name} generation {metrics['generation']}: "
                f"{metrics['pop_timesteps']} steps, training {rates[0]:,.0f} steps/s, "
                f"limit {rates[1]:,.0f} steps/s, ratio {ratios[-1]:.3f}",
                flush=True,
            )
    for pipe in pipes:
        pipe.send(None)
    print(
        f"{env_name}: training / limit: median {statistics.median(ratios):.3f}, "
        f"{min(ratios):.3f} to {max(ratios):.3f}"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--envs", nargs="+", choices=ENVS, default=list(ENVS))
    parser.add_argument("--generations", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    for env_name in args.envs:
        measure(env_name, args)


if __name__ == "__main__":
    main()
