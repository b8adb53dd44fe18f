"""Evaluating solutions on worker processes, of this machine or of a Ray cluster.

What a solution scores depends on (distribution, observation statistics, seed, index)
alone: workers make noise and episode seeds themselves from counters, and the master
puts results back in solution order. So the number of workers and the order in which
they finish change nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pgpelib.policies.networks import Layer
from pgpelib.policies.policy import Architecture
from pgpelib.policies.running_statistics import RunningStat
from pgpelib.search.pgpe import (
    EPISODE_STREAM,
    RE_EVAL_STREAM,
    SearchDistribution,
    episode_seeds,
)
from pgpelib.tasks.base import Batch, Partners, Rollout, Task
from pgpelib.tasks.registry import make_task, uncompiled_reason

Vector = npt.NDArray[np.float64]

# A chunk is at most this many solutions: small enough to balance, large enough that
# sending the distribution along costs nothing.
MAX_CHUNK = 64
# About as many blocks are summed up by workers: few to send and to add, and enough to
# share among many workers.
BLOCKS = 128
# Rebuilding the pool this often without a single finished chunk means that the work
# itself kills workers.
MAX_REBUILDS = 3


@dataclasses.dataclass(frozen=True)
class TaskConfig:
    """Everything a worker needs to make its environments and policies.

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
        Registered policies to play with, see `PosggymTask`.
    episodes_per_solution
        Episodes whose mean return is the fitness of a solution.
    common_seeds
        Whether all solutions of a generation play the same episodes.
    compiled
        Play with compiled kernels, see `CompiledTask`.
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
    compiled: bool = False

    def uncompiled_reason(self) -> str | None:
        """Return why compiled kernels cannot play both tasks, None if they can."""
        # Mostly they are the same one.
        for env_name in dict.fromkeys((self.env_name, self.re_eval_env_name)):
            reason = uncompiled_reason(env_name, self.env_config, self.partners)
            if reason is not None:
                return reason
        return None

    def training_task(self, role: str | None = None) -> Task:
        """Make the task that gives fitnesses to the learner of a role."""
        return make_task(
            self.env_name,
            self.env_config,
            self.max_episode_length,
            self.decrease_rewards_by,
            role,
            self.partners,
            compiled=self.compiled,
        )

    def re_eval_task(self, role: str | None = None) -> Task:
        """Make the task that gives re-evaluations to the learner of a role."""
        return make_task(
            self.re_eval_env_name,
            self.env_config,
            self.max_episode_length,
            role=role,
            partners=self.partners,
            only_if_endless=True,
            compiled=self.compiled,
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
    """Observation normalisation in force; None for neither means none.

    Parameters
    ----------
    mean, stdev
        Shape (d,), float64.
    """

    mean: Vector | None = None
    stdev: Vector | None = None


@dataclasses.dataclass(frozen=True)
class Subject:
    """Whose solutions are evaluated.

    Parameters
    ----------
    distribution
        The solutions.
    normalization
        Their observation normalisation.
    role
        The agent id that they play; None for all.
    others
        Folded layers of the policies that play the other agent ids, if any.
    """

    distribution: SearchDistribution
    normalization: Normalization
    role: str | None = None
    others: Mapping[str, Sequence[Layer]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Work:
    """A run of solutions (or of re-evaluation episodes of the center).

    Parameters
    ----------
    subject
        Whose solutions.
    first, count
        Number of the first one, and how many.
    re_eval
        Whether they are episodes of a re-evaluation.
    block
        Solutions whose results are summed up together, see `block_size`.
    """

    subject: Subject
    first: int
    count: int
    re_eval: bool
    block: int

    @property
    def indices(self) -> range:
        """Numbers of the solutions (or episodes)."""
        return range(self.first, self.first + self.count)


class Worker:
    """Lives in a worker process: environments are made once and kept."""

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

    def run(self, work: Work) -> list[Evaluation]:
        """Return the results of each block of a piece of work, in order."""
        rollouts = self.play(work)
        return [
            summarize(rollouts[start : start + work.block])
            for start in range(0, len(rollouts), work.block)
        ]

    def play(self, work: Work) -> list[Rollout]:
        """Play the episodes of a piece of work, in order."""
        subject = work.subject
        task = self._task(work.re_eval, subject.role)
        batch = Batch(
            self._config.architecture(task),
            _solutions(work),
            [self._seeds(work, index) for index in work.indices],
            subject.normalization.mean,
            subject.normalization.stdev,
            subject.others,
        )
        return task.play(batch)

    def _seeds(self, work: Work, index: int) -> list[int]:
        """Return the seeds of a solution's (or re-evaluation's) episodes."""
        distribution = work.subject.distribution
        if work.re_eval:
            # Re-evaluations of all roles are the same episodes.
            stream, learner, count = RE_EVAL_STREAM, 0, 1
        else:
            stream, learner = EPISODE_STREAM, distribution.learner
            count = self._config.episodes_per_solution
            if self._config.common_seeds:
                index = 0
        return episode_seeds(
            distribution.seed, stream, distribution.generation, index, learner, count
        )


def _solutions(work: Work) -> list[Vector]:
    """Return the parameters of the solutions of a piece of work."""
    distribution = work.subject.distribution
    if work.re_eval:
        return [distribution.center] * work.count
    pairs = {
        pair: distribution.pair(pair) for pair in {index // 2 for index in work.indices}
    }
    return [pairs[index // 2][index % 2] for index in work.indices]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Results of a run of solutions, in solution order.

    Parameters
    ----------
    fitnesses
        Shape (n,), float64; not finite for episodes that failed. An episode with an
        observation that is NaN or infinite failed, whatever its return.
    steps
        Shape (n,), int64, simulator steps.
    obs_stats
        Statistics of the observations of episodes that did not fail.
    """

    fitnesses: Vector
    steps: npt.NDArray[np.int64]
    obs_stats: RunningStat


def summarize(rollouts: Sequence[Rollout]) -> Evaluation:
    """Return the results of rollouts, in their order."""
    fitnesses = np.array(
        [r.fitness if r.obs_stats.is_finite else np.nan for r in rollouts]
    )
    stats = RunningStat.empty(len(rollouts[0].obs_stats.sum))
    for rollout, fitness in zip(rollouts, fitnesses, strict=True):
        # One NaN would make the normalisation of all later generations NaN.
        if np.isfinite(fitness):
            stats.merge(rollout.obs_stats)
    return Evaluation(fitnesses, np.array([r.steps for r in rollouts]), stats)


def joined(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Return results of successive runs of solutions as one."""
    stats = RunningStat.empty(len(evaluations[0].obs_stats.sum))
    for evaluation in evaluations:
        stats.merge(evaluation.obs_stats)
    return Evaluation(
        np.concatenate([each.fitnesses for each in evaluations]),
        np.concatenate([each.steps for each in evaluations]),
        stats,
    )


def block_size(count: int) -> int:
    """Return how many of `count` solutions are summed up together, in whole pairs.

    Sums of floats depend on their order. Workers sum up blocks and the master sums up
    those; as their size depends on `count` alone, the number of workers changes
    nothing.
    """
    return 2 * max(1, min(count // BLOCKS, MAX_CHUNK) // 2)


class WorkerError(RuntimeError):
    """Workers keep dying or hanging on the same work."""


class Engine(Protocol):
    """Where work is done; results come back in the order of the work."""

    @property
    def num_workers(self) -> int:
        """Pieces of work that are done at a time."""

    def run(
        self, chunks: list[Work], on_progress: Callable[[int], None] | None
    ) -> list[list[Evaluation]]:
        """Do all chunks, calling `on_progress` with the solutions of each done.

        Returns the results of the blocks of each chunk.
        """

    def close(self) -> None:
        """Release what was started for the work."""


def worker_error(chunks: list[Work], failures: int, reason: str) -> WorkerError:
    """Return the error of workers that keep failing on the same work."""
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
        Where the work is done.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def evaluate(
        self,
        subject: Subject,
        first: int,
        count: int,
        on_progress: Callable[[int], None] | None = None,
    ) -> Evaluation:
        """Evaluate solutions `first` to `first + count` of a distribution."""
        return self._run(subject, first, count, False, on_progress)

    def re_evaluate(self, subject: Subject, count: int) -> Evaluation:
        """Play `count` episodes of the re-evaluation task with the center."""
        return self._run(subject, 0, count, True, None)

    def close(self) -> None:
        """Release the engine."""
        self._engine.close()

    def _run(
        self,
        subject: Subject,
        first: int,
        count: int,
        re_eval: bool,
        on_progress: Callable[[int], None] | None,
    ) -> Evaluation:
        block = block_size(count)
        share = min(MAX_CHUNK, count // (4 * self._engine.num_workers))
        size = max(1, share // block) * block
        chunks = [
            Work(subject, start, min(size, first + count - start), re_eval, block)
            for start in range(first, first + count, size)
        ]
        blocks = [
            block for chunk in self._engine.run(chunks, on_progress) for block in chunk
        ]
        return joined(blocks)
