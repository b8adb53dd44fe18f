"""Evaluating solutions on worker processes, on this machine or on a Ray cluster.

The fitness of a solution depends only on the distribution, the observation statistics,
the seed and the solution's index: workers derive noise and episode seeds from counters,
and the master puts results back in solution order. Results therefore do not depend on
the number of workers or on the order in which they finish.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pgpelib.policies.networks import Layer
from pgpelib.policies.partners import Partners
from pgpelib.policies.policy import Architecture
from pgpelib.policies.running_statistics import RunningStat
from pgpelib.search.pgpe import (
    EPISODE_STREAM,
    RE_EVAL_STREAM,
    SearchDistribution,
    episode_seeds,
)
from pgpelib.tasks.base import Batch, Rollout, Task
from pgpelib.tasks.registry import make_task, uncompiled_reason

Vector = npt.NDArray[np.float64]

# Maximum solutions per chunk: small enough to balance the load, large enough that the
# cost of sending the distribution does not matter.
MAX_CHUNK = 64
# Approximate number of blocks that workers sum up: few enough to send and add cheaply,
# enough to share among many workers.
BLOCKS = 128
# After this many rebuilds of the pool without a single finished chunk, the work itself
# must be what kills the workers.
MAX_REBUILDS = 3


@dataclasses.dataclass(frozen=True)
class TaskConfig:
    """Everything a worker needs to create its environments and policies.

    Parameters
    ----------
    env_name, env_config, max_episode_length, decrease_rewards_by
        The training task, see `pgpelib.tasks`.
    re_eval_env_name
        The environment of re-evaluations, played with its standard rewards and
        episode length (`max_episode_length` if it has no time limit).
    hidden, activation, lstm_size, head
        The policy, see `Architecture`.
    partners
        Who plays the other agents, see `PosggymTask`.
    episodes_per_solution
        Episodes whose mean return is the fitness of a solution.
    common_seeds
        Whether all solutions of a generation play the same episodes.
    pair_seeds
        Whether the two solutions of a pair do.
    compiled
        Whether to play with compiled kernels, see `CompiledTask`.
    stochastic
        Whether the learner draws its discrete actions.
    """

    env_name: str
    env_config: dict[str, Any]
    max_episode_length: int
    decrease_rewards_by: float
    re_eval_env_name: str
    hidden: tuple[int, ...]
    activation: str
    lstm_size: int = 0
    head: tuple[int, ...] = ()
    partners: Partners = ()
    episodes_per_solution: int = 1
    common_seeds: bool = False
    pair_seeds: bool = False
    compiled: bool = False
    stochastic: bool = False

    def uncompiled_reason(self) -> str | None:
        """Return why compiled kernels cannot play both tasks, or None if they can."""
        # Usually both tasks use the same environment.
        for env_name in dict.fromkeys((self.env_name, self.re_eval_env_name)):
            reason = uncompiled_reason(env_name, self.env_config, self.partners)
            if reason is not None:
                return reason
        return None

    def training_task(self, role: str | None = None) -> Task:
        """Create the training task of a role's learner."""
        return make_task(
            self.env_name,
            self.env_config,
            self.max_episode_length,
            self.decrease_rewards_by,
            role,
            self.partners,
            compiled=self.compiled,
            stochastic=self.stochastic,
        )

    def re_eval_task(self, role: str | None = None) -> Task:
        """Create the re-evaluation task of a role's learner."""
        return make_task(
            self.re_eval_env_name,
            self.env_config,
            self.max_episode_length,
            role=role,
            partners=self.partners,
            only_if_endless=True,
            compiled=self.compiled,
            stochastic=self.stochastic,
        )

    def architecture(self, task: Task) -> Architecture:
        """Return the policy's architecture for a task."""
        return Architecture(
            task.observation_size,
            task.action.output_size,
            self.hidden,
            self.activation,
            self.lstm_size,
            self.head,
        )


@dataclasses.dataclass(frozen=True)
class Normalization:
    """The observation normalisation of a generation.

    Parameters
    ----------
    mean, stdev
        Shape (d,), float64; both None if observations are not normalised.
    """

    mean: Vector | None = None
    stdev: Vector | None = None


@dataclasses.dataclass(frozen=True)
class Population:
    """The solutions of one generation, and what they need to play.

    Parameters
    ----------
    distribution
        The distribution that the solutions are sampled from.
    normalization
        Observation normalisation of all solutions.
    role
        The agent id that the solutions play; None for all agents.
    others
        Layers of the policies that play the other agent ids, with the observation
        normalisation folded in.
    """

    distribution: SearchDistribution
    normalization: Normalization
    role: str | None = None
    others: Mapping[str, Sequence[Layer]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Work:
    """Consecutive solutions, or consecutive episodes of a re-evaluation of the center.

    Parameters
    ----------
    population
        The population of the solutions.
    first, count
        Index of the first solution (or episode), and the number of them.
    re_eval
        Whether these are episodes of a re-evaluation.
    block
        Number of solutions whose results are summed up together, see `block_size`.
    """

    population: Population
    first: int
    count: int
    re_eval: bool
    block: int

    @property
    def indices(self) -> range:
        """Indices of the solutions (or episodes)."""
        return range(self.first, self.first + self.count)


class Worker:
    """Plays episodes in a worker process; environments are created once and reused."""

    def __init__(self, config: TaskConfig) -> None:
        self._config = config
        self._tasks: dict[tuple[bool, str | None], Task] = {}

    def _task(self, re_eval: bool, role: str | None) -> Task:
        if (re_eval, role) not in self._tasks:
            config = self._config
            self._tasks[re_eval, role] = (
                config.re_eval_task(role) if re_eval else config.training_task(role)
            )
        return self._tasks[re_eval, role]

    def run(self, work: Work) -> ChunkResult:
        """Play the episodes and sum up each block of solutions."""
        rollouts = self.play(work)
        return ChunkResult.of(
            [
                summarize(rollouts[start : start + work.block])
                for start in range(0, len(rollouts), work.block)
            ]
        )

    def play(self, work: Work) -> list[Rollout]:
        """Play the episodes and return one `Rollout` per solution, in order."""
        population = work.population
        task = self._task(work.re_eval, population.role)
        batch = Batch(
            self._config.architecture(task),
            _solutions(work),
            self._seeds(work),
            population.normalization.mean,
            population.normalization.stdev,
            population.others,
        )
        return task.play(batch)

    def _seeds(self, work: Work) -> list[list[int]]:
        """Return the seeds of the episodes of each solution (or re-evaluation)."""
        distribution = work.population.distribution
        if work.re_eval:
            # All roles are re-evaluated in the same episodes.
            stream, learner, count = RE_EVAL_STREAM, 0, 1
        else:
            stream, learner = EPISODE_STREAM, distribution.learner
            count = self._config.episodes_per_solution

        def seeds(index: int) -> list[int]:
            return episode_seeds(
                distribution.seed,
                stream,
                distribution.generation,
                index,
                learner,
                count,
            )

        if work.re_eval:
            return [seeds(index) for index in work.indices]
        if self._config.common_seeds:
            return [seeds(0)] * work.count
        size = 2 if self._config.pair_seeds else 1
        return [seeds(index // size) for index in work.indices]


def _solutions(work: Work) -> list[Vector]:
    """Return the parameter vectors of the solutions, each of shape (n,)."""
    distribution = work.population.distribution
    if work.re_eval:
        return [distribution.center] * work.count
    pairs = {
        pair: distribution.pair(pair) for pair in {index // 2 for index in work.indices}
    }
    return [pairs[index // 2][index % 2] for index in work.indices]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Results of consecutive solutions, in solution order.

    Parameters
    ----------
    fitnesses
        Shape (n,), float64; NaN or infinite for failed episodes. An episode with a NaN
        or infinite observation counts as failed, whatever its return.
    steps
        Simulator steps, shape (n,), int64.
    obs_stats
        Observation statistics of the episodes that did not fail.
    """

    fitnesses: Vector
    steps: npt.NDArray[np.int64]
    obs_stats: RunningStat


def summarize(rollouts: Sequence[Rollout]) -> Evaluation:
    """Combine rollouts into one evaluation, in the given order."""
    fitnesses = np.array([rollout.fitness for rollout in rollouts])
    all_stats = [rollout.obs_stats for rollout in rollouts]
    size = len(all_stats[0].sum)
    stats = RunningStat.total(all_stats, size)
    # The usual case: sums over all of them are finite only if those of each are.
    if not (stats.is_finite and np.isfinite(fitnesses).all()):
        # A single NaN would spoil the normalisation of all later generations.
        fitnesses[[not each.is_finite for each in all_stats]] = np.nan
        finite = [all_stats[n] for n in np.flatnonzero(np.isfinite(fitnesses))]
        stats = RunningStat.total(finite, size)
    return Evaluation(fitnesses, np.array([r.steps for r in rollouts]), stats)


@dataclasses.dataclass(frozen=True)
class ChunkResult:
    """Results of a chunk of work, as few arrays: that is fast to send.

    Parameters
    ----------
    fitnesses, steps
        Of all solutions, see `Evaluation`.
    counts
        Shape (blocks,), int64: observations of each block.
    sums, sumsqs
        Shape (blocks, d), float64: sums of the observations of each block, and of their
        squares.
    """

    fitnesses: Vector
    steps: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    sums: Vector
    sumsqs: Vector

    @classmethod
    def of(cls, blocks: Sequence[Evaluation]) -> ChunkResult:
        """Put the results of consecutive blocks together."""
        return cls(
            np.concatenate([block.fitnesses for block in blocks]),
            np.concatenate([block.steps for block in blocks]),
            np.array([block.obs_stats.count for block in blocks]),
            np.stack([block.obs_stats.sum for block in blocks]),
            np.stack([block.obs_stats.sumsq for block in blocks]),
        )

    @property
    def block_stats(self) -> list[RunningStat]:
        """Observation statistics of each block."""
        parts = zip(self.counts.tolist(), self.sums, self.sumsqs, strict=True)
        return [RunningStat(*part) for part in parts]


def joined(chunks: Sequence[ChunkResult]) -> Evaluation:
    """Combine the results of consecutive chunks."""
    parts = [stats for chunk in chunks for stats in chunk.block_stats]
    return Evaluation(
        np.concatenate([chunk.fitnesses for chunk in chunks]),
        np.concatenate([chunk.steps for chunk in chunks]),
        RunningStat.total(parts, len(parts[0].sum)),
    )


def block_size(count: int) -> int:
    """Return how many of `count` solutions are summed up together; always even.

    Floating-point sums depend on the order of their terms. Workers sum up blocks, and
    the master adds the sums of the blocks. Because the size of a block depends on
    `count` alone, results do not depend on the number of workers.
    """
    return 2 * max(1, min(count // BLOCKS, MAX_CHUNK) // 2)


class WorkerError(RuntimeError):
    """Workers repeatedly died or hung on the same work."""


class Engine(Protocol):
    """Runs work on a set of workers, and returns results in the order of the work."""

    @property
    def num_workers(self) -> int:
        """Number of workers, which is how many chunks run at the same time."""

    def run(
        self, chunks: list[Work], on_progress: Callable[[int], None] | None
    ) -> list[ChunkResult]:
        """Run all chunks.

        Parameters
        ----------
        chunks
            The work to do.
        on_progress
            Called with the number of solutions of each finished chunk.

        Returns
        -------
        list of ChunkResult
            In the order of `chunks`.
        """

    def close(self) -> None:
        """Stop the workers and release all resources."""


def worker_error(chunks: list[Work], failures: int, reason: str) -> WorkerError:
    """Create the error for workers that keep failing on the same work."""
    last = chunks[-1].first + chunks[-1].count - 1
    return WorkerError(
        f"workers failed {failures} times in a row on solutions "
        f"{chunks[0].first}..{last}: {reason}"
    )


class Evaluator:
    """Evaluates solutions and re-evaluates centers on an engine.

    Parameters
    ----------
    engine
        Runs the work; closed by `close`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def evaluate(
        self,
        population: Population,
        first: int,
        count: int,
        on_progress: Callable[[int], None] | None = None,
    ) -> Evaluation:
        """Evaluate `count` solutions of a population, starting at index `first`.

        `on_progress` is called with the number of solutions of each finished chunk.
        """
        return self._run(population, first, count, False, on_progress)

    def re_evaluate(self, population: Population, count: int) -> Evaluation:
        """Play `count` re-evaluation episodes with the population's center."""
        return self._run(population, 0, count, True, None)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()

    def _run(
        self,
        population: Population,
        first: int,
        count: int,
        re_eval: bool,
        on_progress: Callable[[int], None] | None,
    ) -> Evaluation:
        block, workers = block_size(count), self._engine.num_workers
        blocks = math.ceil(count / block)
        # As many chunks for each worker, of about the same size: if the last chunk were
        # a remainder, one worker would play it while the others wait.
        each = max(4, math.ceil(blocks / (MAX_CHUNK // block * workers)))
        number = min(each * workers, blocks)
        starts = [blocks * chunk // number * block for chunk in range(number)]
        chunks = [
            Work(population, first + start, stop - start, re_eval, block)
            for start, stop in itertools.pairwise([*starts, count])
        ]
        return joined(self._engine.run(chunks, on_progress))
