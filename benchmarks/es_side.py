"""Time and memory of the master's part of a generation.

Measures telling the fitnesses of a whole generation (ranking, noise from seeds,
gradients, update) and merging the observation statistics of all rollouts,
for the humanoid policy; and the share of a generation's time at a given step rate.

Example
-------
    python benchmarks/es_side.py --popsize 10000 --steps_per_second 9000
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time

import numpy as np

from pgpelib import PGPE
from pgpelib.policies.policy import Architecture
from pgpelib.policies.running_statistics import RunningStat

NUM_PARAMETERS = Architecture(44, 17, (64,)).num_parameters


def peak_memory() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(popsize: int, repeats: int) -> tuple[float, float]:
    """Return the median seconds of telling a generation and of merging statistics."""
    pgpe = PGPE(solution_length=NUM_PARAMETERS, popsize=popsize, seed=0)
    rng = np.random.default_rng(0)
    parts = [
        RunningStat(26, rng.normal(size=44), rng.uniform(size=44))
        for _ in range(popsize)
    ]
    tells, merges = [], []
    for _ in range(repeats):
        fitnesses = rng.normal(size=popsize)
        started = time.perf_counter()
        pgpe.tell(fitnesses)
        tells.append(time.perf_counter() - started)
        started = time.perf_counter()
        total = RunningStat.empty(44)
        for part in parts:
            total.merge(part)
        merges.append(time.perf_counter() - started)
    return statistics.median(tells), statistics.median(merges)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--popsize", type=int, default=10000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--steps_per_second", type=float, default=9000.0, help="of all workers together"
    )
    parser.add_argument(
        "--episode_length", type=float, default=26.0, help="steps of an early episode"
    )
    args = parser.parse_args()
    tell, merge = measure(args.popsize, args.repeats)
    generation = args.popsize * args.episode_length / args.steps_per_second
    print(
        f"popsize {args.popsize}, {NUM_PARAMETERS} parameters, {args.repeats} repeats"
    )
    print(f"tell {tell:.3f} s, merge {merge:.3f} s (medians)")
    print(
        f"a generation at {args.steps_per_second:,.0f} steps/s takes "
        f"{generation:.1f} s: the ES side is {100 * (tell + merge) / generation:.2f} %"
    )
    print(f"peak memory of the master: {peak_memory():.0f} MB")


if __name__ == "__main__":
    main()
