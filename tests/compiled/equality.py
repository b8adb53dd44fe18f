"""Compare compiled environments with POSGGym's in many episodes, and print a table.

    python tests/compiled/equality.py [--episodes N] [ENV_ID ...]

For each environment N episodes with random actions, and N / 10 that networks play: both
step by step, with all observations, rewards and flags, and whole episodes in one call,
with returns, lengths and statistics of observations. All bits are compared; the first
difference ends the program.
"""

from __future__ import annotations

import argparse
import itertools
import time
from typing import Any

import numpy as np

from cases import COMPARISONS
from compiled_network import Compiled
from posggym_compiled.interface import Dense, World, world_for
from posggym_compiled.networks import Architecture
from posggym_compiled.rollouts import Opponent, Players
from side_by_side import (
    SHAPES,
    Reference,
    check_networks,
    check_random,
    network_sizes,
)


def play_by_networks(
    reference: Reference, world: World, networks: list[Compiled], seed: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the returns of an episode, and what agent 0 saw."""
    seen = reference.reset(seed)
    for network in networks:
        network.memory[:] = 0
    returns, looks, done = np.zeros(world.num_agents), [], False
    while not done:
        joint: dict[str, Any] = {}
        looks.append(np.array(seen[world.agents[0]], np.float64))
        for agent, name in enumerate(world.agents):
            outputs = networks[agent](np.array(seen[name], np.float64))
            is_box = isinstance(world.actions[agent], Dense)
            joint[name] = outputs if is_box else outputs.argmax()
        seen, rewards, _, _, done = reference.step(joint)
        returns += [rewards[name] for name in world.agents]
    return returns, looks


def check_rollouts(
    env_id: str,
    env_args: dict[str, Any],
    world: World,
    seeds: np.ndarray,
    fails: tuple[type[Exception], ...],
) -> int:
    """Compare whole episodes that a network for each agent plays; return the steps."""
    reference = Reference(env_id, env_args, process=True)
    rng, steps = np.random.default_rng(len(seeds)), 0
    for seed, shape in zip(seeds.tolist(), itertools.cycle(SHAPES)):
        architectures = [
            Architecture(*network_sizes(world, agent), **shape)
            for agent in range(world.num_agents)
        ]
        vectors = [rng.standard_normal(a.num_parameters) for a in architectures]
        pairs = list(zip(architectures, vectors, strict=True))
        networks = [Compiled(*pair) for pair in pairs]
        try:
            returns, looks = play_by_networks(reference, world, networks, seed)
        except fails:
            continue
        opponents = [Opponent(*pair) for pair in pairs[1:]]
        outcomes = Players(world, architectures[0], opponents).play(
            vectors[0][None],
            np.array([[seed]], np.uint64),
            cast=np.arange(world.num_agents)[None, None],
        )
        assert outcomes.steps == outcomes.counts == len(looks), seed
        assert outcomes.fitness == returns[0], seed
        np.testing.assert_array_equal(outcomes.returns[0, 0], returns)
        np.testing.assert_array_equal(outcomes.sums[0], sum(looks))
        squares = sum(look * look for look in looks)
        np.testing.assert_array_equal(outcomes.sumsqs[0], squares)
        steps += len(looks)
    return steps


def compare(env_id: str, episodes: int) -> str:
    """Compare an environment with all its sets of arguments; return a table row."""
    like, began = COMPARISONS[env_id], time.monotonic()
    each = -(-episodes // len(like.arguments))
    by_networks = -(-each // 10)
    random = networks = whole = 0
    for env_args in like.arguments:
        world = world_for(env_id, **env_args)
        random += check_random(env_id, env_args, world, each, like.repeat, like.fails)
        networks += check_networks(env_id, env_args, world, by_networks, like.fails)
        seeds = np.arange(5000, 5000 + by_networks)
        whole += check_rollouts(env_id, env_args, world, seeds, like.fails)
    count = len(like.arguments)
    seconds = time.monotonic() - began
    return (
        f"| {env_id} | {count} | {each * count:,} | {random:,} "
        f"| {by_networks * count} + {by_networks * count} | {networks:,} + {whole:,} "
        f"| equal | {seconds:.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("env_ids", nargs="*", metavar="ENV_ID", default=[*COMPARISONS])
    parser.add_argument("--episodes", type=int, default=1000)
    options = parser.parse_args()
    print(
        "| Environment | Sets | Episodes, random | Steps | By networks | Steps |",
        end="",
    )
    print(" Result | Seconds |\n|---|---|---|---|---|---|---|---|")
    for env_id in options.env_ids:
        print(compare(env_id, options.episodes), flush=True)


if __name__ == "__main__":
    main()
