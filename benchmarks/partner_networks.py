"""Speed of training rollouts with large networks as partners, in and out of lockstep.

The partners have random weights and the sizes of POSGGym's own networks. The same
episodes are played in lockstep with partners in float32, one after another with
partners in float32, and one after another in float64. All take turns; a ratio is the
median of those of several turns. Returns in lockstep and out of it must agree.

Example
-------
    python benchmarks/partner_networks.py --turns 20
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from typing import Any
from unittest import mock

import numpy as np

from posggym_compiled import rollouts
from posggym_compiled.interface import world_for
from posggym_compiled.networks import Architecture
from posggym_compiled.partners.kinds import SampledNetwork
from posggym_compiled.rollouts import Players

SMALL: dict[str, Any] = {"hidden": (64, 64), "lstm_size": 64, "head": (64,)}
LARGE: dict[str, Any] = {"hidden": (64, 32), "lstm_size": 256}
# Environments with the sizes of the networks that POSGGym has for them.
PARTNERS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "PursuitEvasion-v1": ({"grid": "16x16"}, LARGE),
    "PredatorPrey-v0": ({}, SMALL),
    "LevelBasedForaging-v3": ({}, SMALL),
}
WAYS = ("lockstep", "float32", "float64")
SOLUTIONS, EPISODES, NUM_PARTNERS = 64, 2, 6


def players_for(env_id: str, lstm_size: int) -> dict[str, Players]:
    """Return players of the same episodes for each way to play them."""
    arguments, sizes = PARTNERS[env_id]
    world = world_for(env_id, **arguments)
    inputs, outputs = world.observations[0].size, world.actions[0].n
    architecture = Architecture(inputs, outputs, **sizes)
    rng = np.random.default_rng(0)
    networks = [
        SampledNetwork(
            architecture, 0.1 * rng.standard_normal(architecture.num_parameters), True
        )
        for _ in range(NUM_PARTNERS)
    ]
    exact = [dataclasses.replace(network, single=False) for network in networks]
    own = Architecture(inputs, outputs, hidden=(32,), lstm_size=lstm_size)
    with mock.patch.object(rollouts, "SLOTS", 1):
        apart = Players(world, own, networks, stochastic=True)
    return {
        "lockstep": Players(world, own, networks, stochastic=True),
        "float32": apart,
        "float64": Players(world, own, exact, stochastic=True),
    }


def measure(env_id: str, lstm_size: int, turns: int) -> None:
    """Print the steps/s of each way, and their ratios."""
    players = players_for(env_id, lstm_size)
    some = players["lockstep"]
    rng = np.random.default_rng(1)
    shape = SOLUTIONS, some.architecture.num_parameters
    solutions = 0.1 * rng.standard_normal(shape)
    seeds = rng.integers(0, 2**63, (SOLUTIONS, EPISODES)).astype(np.uint64)
    cast = np.zeros((*seeds.shape, some.world.num_agents), np.int64)
    cast[:, :, 1:] = rng.integers(1, NUM_PARTNERS + 1, (*seeds.shape, 1))
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(turns + 1):
        returns = {}
        for way in WAYS:
            begin = time.process_time()
            outcomes = players[way].play(solutions, seeds, cast=cast)
            seconds = time.process_time() - begin
            returns[way] = outcomes.returns
            # Kernels are compiled in the first turn.
            if turn:
                rates[way].append(float(outcomes.steps.sum()) / seconds)
        np.testing.assert_array_equal(returns["lockstep"], returns["float32"])
    learner = f"layer of 32, LSTM of {lstm_size}" if lstm_size else "layer of 32"
    ratios = {
        way: statistics.median(
            ours / theirs
            for ours, theirs in zip(rates["lockstep"], rates[way], strict=True)
        )
        for way in WAYS[1:]
    }
    print(
        f"{env_id}, {learner}: {statistics.median(rates['lockstep']):,.0f} steps/s, "
        f"{ratios['float32']:.2f} times float32 and {ratios['float64']:.2f} times "
        "float64 one after another",
        flush=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", nargs="+", default=list(PARTNERS), choices=PARTNERS)
    parser.add_argument("--lstm_size", type=int, nargs="+", default=[0, 48])
    parser.add_argument("--turns", type=int, default=20)
    args = parser.parse_args()
    for env_id in args.env:
        for lstm_size in args.lstm_size:
            measure(env_id, lstm_size, args.turns)


if __name__ == "__main__":
    main()
