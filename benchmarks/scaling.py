"""Speed with 1 worker against 2, the serial time of a generation, and what follows.

Measures real training generations of HumanoidBullet with 1 and 2 workers in turns, and
the time in which the master works alone: telling, merging, metrics and checkpoint.
The projection assumes that workers do not slow each other down beyond what is measured
here and that the serial time does not depend on their number (Amdahl's law).

Example
-------
    python benchmarks/scaling.py --popsize 1000 --repeats 3
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
import statistics
import tempfile
import time
from pathlib import Path

import es_side
from measuring import endless_config

from pgpelib.engines.evaluation import (
    MAX_CHUNK,
    ChunkResult,
    Work,
    block_size,
    summarize,
)
from pgpelib.policies.running_statistics import RunningStat
from pgpelib.tasks.base import Rollout
from pgpelib.training.config import TrainingConfig
from pgpelib.training.learner import Learner
from pgpelib.training.loop import Training

# The paper's generation: at least this many simulator steps.
PAPER_STEPS = 1_500_000
PAPER_POPSIZE = 10_000


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--popsize", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    rates: dict[int, list[float]] = {1: [], 2: []}
    checkpoints: list[float] = []
    with contextlib.ExitStack() as stack:
        trainings = {}
        for workers in rates:
            config = endless_config(args.popsize, workers)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            trainings[workers] = stack.enter_context(Training(config, folder))
            # Starts the workers.
            trainings[workers].calibrate(0.1)
        for _ in range(args.repeats):
            for workers, training in trainings.items():
                started = time.perf_counter()
                (metrics,) = training.step().metrics
                seconds = time.perf_counter() - started
                rates[workers].append(metrics["pop_timesteps"] / seconds)
                checkpoints.append(seconds - metrics["pop_elapsed"])
    one, two = (statistics.median(values) for values in rates.values())
    # `pop_elapsed` includes telling and merging, so measure these alone.
    checkpoint = statistics.median(checkpoints)
    telling = sum(es_side.measure(PAPER_POPSIZE, args.repeats))
    print(
        f"1 worker {one:,.0f} steps/s, 2 workers {two:,.0f} steps/s: {two / one:.2f}x"
    )
    print(
        f"serial: {telling * 1e3:.0f} ms to tell and merge {PAPER_POPSIZE} solutions, "
        f"{checkpoint * 1e3:.0f} ms for metrics and checkpoint"
    )
    work, result, handling = message_sizes()
    print(
        f"messages of {MAX_CHUNK} solutions: {work / 1e3:.0f} kB to a worker, "
        f"{result / 1e3:.0f} kB back, {handling * 1e3:.2f} ms of the master"
    )
    paper_serial = telling + checkpoint
    per_worker = two / 2
    for workers in (1, 2, 16, 64, 256, 4096):
        # As the evaluator divides a population.
        size = max(1, min(MAX_CHUNK, PAPER_POPSIZE // (4 * workers)))
        chunks = PAPER_POPSIZE / size
        parallel = PAPER_STEPS / (per_worker * workers)
        seconds = parallel + paper_serial + handling * chunks
        print(
            f"{workers:4d} workers: {seconds:8.2f} s a generation of the paper, "
            f"{3600 / seconds:6.0f} an hour, "
            f"{100 * parallel / seconds:.1f} % efficient, "
            f"{chunks:,.0f} messages, {chunks * work / 1e6:.0f} MB out"
        )


def message_sizes() -> tuple[int, int, float]:
    """Return bytes of a chunk of work and of its result, and seconds to handle both."""
    config = TrainingConfig(niters=1)
    learner = Learner(config, None)
    stats = RunningStat.empty(learner.architecture.observation_size)
    block = block_size(config.popsize)
    rollouts = [Rollout(0.0, 30, stats) for _ in range(block)]
    work = Work(learner.population([]), 0, MAX_CHUNK, False, block)
    blocks = [summarize(rollouts) for _ in range(MAX_CHUNK // block)]
    answer = pickle.dumps(ChunkResult.of(blocks))
    started, repeats = time.perf_counter(), 200
    for _ in range(repeats):
        sent = pickle.dumps(work)
        pickle.loads(answer)
    handling = (time.perf_counter() - started) / repeats
    return len(sent), len(answer), handling


if __name__ == "__main__":
    main()
