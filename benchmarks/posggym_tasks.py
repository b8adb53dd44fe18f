"""Speed of training rollouts in POSGGym environments against bare `env.step`.

A rollout processes the observations of all agents, runs the policy for each, records
statistics, and makes an environment anew where episodes would depend on each other
otherwise. The bare form replays the same actions in one environment. The compiled form
is what a worker does in training, with several times the episodes.

Example
-------
    python benchmarks/posggym_tasks.py --episodes 20 --repeats 3
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
import posggym

from pgpelib.policies.networks import Network
from pgpelib.policies.policy import Architecture
from pgpelib.tasks.base import Batch
from pgpelib.tasks.registry import make_task, uncompiled_reason
from posggym_es.tasks.family import POSGGYM_PREFIX
from posggym_es.tasks.posggym_task import make_processor

ENV_IDS = (
    "DrivingContinuous-v0",
    "PredatorPreyContinuous-v0",
    "Driving-v1",
    "LevelBasedForaging-v3",
    "PredatorPrey-v0",
    "CooperativeReaching-v0",
)

# Compiled episodes are so quick that few of them cannot be timed.
COMPILED_TIMES = 20


def record(env: Any, task: Any, network: Network, seed: int) -> list[Any]:
    """Return the joint actions of an episode."""
    obs_processors, action_processors = (
        {i: make_processor(processor, space) for i, space in spaces.items()}
        for processor, spaces in (
            (task.obs_processor, env.observation_spaces),
            (task.action_processor, env.action_spaces),
        )
    )
    observations, _ = env.reset(seed=seed)
    joint_actions, done = [], False
    while not done:
        actions = {
            i: action_processors[i].unprocess(
                task.action.decode(
                    network(np.float64(obs_processors[i](observations[i])))
                )
            )
            for i in env.agents
        }
        joint_actions.append(actions)
        observations, _, _, _, done, _ = env.step(actions)
    return joint_actions


def compiled_rate(
    env_name: str, architecture: Architecture, parameters: Any, episodes: int
) -> float:
    """Return joint steps/s of a batch of compiled episodes; NaN without kernels."""
    if uncompiled_reason(env_name, {}) is not None:
        return float("nan")
    task = make_task(env_name, {}, compiled=True)
    batch = Batch(
        architecture, [parameters] * episodes, [[seed] for seed in range(episodes)]
    )
    # The first call compiles.
    task.play(batch)
    started = time.perf_counter()
    steps = sum(rollout.steps for rollout in task.play(batch))
    return steps / (time.perf_counter() - started)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    columns = ("rollouts", "bare", "ratio", "compiled", "ratio")
    print(f"{'':28}{''.join(f'{name:>11}' for name in columns)}   (joint steps/s)")
    for env_id in ENV_IDS:
        task = make_task(POSGGYM_PREFIX + env_id, {})
        architecture = Architecture(task.observation_size, task.action.output_size)
        parameters = np.random.default_rng(0).normal(size=architecture.num_parameters)
        network = Network(architecture.layers(parameters), "tanh")
        env = posggym.make(env_id, disable_env_checker=True)
        seeds = range(args.episodes)
        episodes = [record(env, task, network, seed) for seed in seeds]
        rollouts, bare, compiled = [], [], []
        for _ in range(args.repeats):
            started = time.perf_counter()
            steps = sum(task.rollout(network, seed).steps for seed in seeds)
            rollouts.append(steps / (time.perf_counter() - started))
            started, steps = time.perf_counter(), 0
            for seed, joint_actions in zip(seeds, episodes, strict=True):
                env.reset(seed=seed)
                for actions in joint_actions:
                    steps += 1
                    if env.step(actions)[4]:
                        break
            bare.append(steps / (time.perf_counter() - started))
            rate = compiled_rate(
                POSGGYM_PREFIX + env_id,
                architecture,
                parameters,
                COMPILED_TIMES * args.episodes,
            )
            compiled.append(rate)
        ratio, compiled_ratio = (
            statistics.median(a / b for a, b in zip(rates, bare, strict=True))
            for rates in (rollouts, compiled)
        )
        print(
            f"{env_id:28}{statistics.median(rollouts):11,.0f}"
            f"{statistics.median(bare):11,.0f}{ratio:11.2f}"
            f"{statistics.median(compiled):11,.0f}{compiled_ratio:11.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
