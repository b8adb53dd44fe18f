"""The training loop: generations, re-evaluations, checkpoints, metrics, resuming."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from pgpelib.engines.choice import make_engine
from pgpelib.engines.evaluation import Evaluation, Evaluator, Population
from pgpelib.policies.metadata import TRAINING_KEYS, PolicyMetadata
from pgpelib.policies.partners import Partners, keep, located, standard_name
from pgpelib.policies.saving import (
    load_partners,
    policy_file_name,
    save_policy,
    with_standard_names,
)
from pgpelib.search.pgpe import PGPE
from pgpelib.tasks.registry import family_of
from pgpelib.training.config import BUDGET_KEYS, TrainingConfig
from pgpelib.training.estimates import Estimate
from pgpelib.training.learner import Candidate, Learner
from pgpelib.training.provenance import source_commit
from pgpelib.training.run_folder import (
    LOCK_FILE,
    METRIC_COLUMNS,
    POLICIES_FOLDER,
    RunIdentity,
    State,
    append_metrics,
    read_identity,
    read_state,
    trim_metrics,
    write_identity,
    write_state,
)
from pgpelib.training.stopping import StoppingRule, Verdict
from pgpelib.utils import locks

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class GenerationReport:
    """The results of one generation.

    Parameters
    ----------
    metrics
        Rows of `metrics.csv`, keyed by column, one per role. The re-evaluation columns
        are None in generations without a re-evaluation.
    saved_policies
        The policy files saved in this generation.
    """

    metrics: list[dict[str, Any]]
    saved_policies: list[Path]


class RunMismatchError(ValueError):
    """The run folder belongs to a different run."""


class RunLockedError(ValueError):
    """Another process is training in the run folder."""


class Training:
    """A training run in a folder, resumed if the folder already has its state.

    The folder contains `run.json` (config and provenance), `state.npz` (everything that
    the next generation depends on, replaced atomically after each generation),
    `metrics.csv` and `policies/`. A run that was killed at any moment and then resumed
    gives the same results as an uninterrupted one.

    Parameters
    ----------
    config
        The run's configuration.
    run_dir
        The run's folder; created if it does not exist.

    Raises
    ------
    RunMismatchError
        If the folder holds a run with a different configuration.
    DamagedRunError
        If a file of the run is damaged or missing.
    RunLockedError
        If another process is training in the folder.
    """

    def __init__(self, config: TrainingConfig, run_dir: Path) -> None:
        self.config = config
        self.run_dir = run_dir
        self._lock = self._lock_folder()
        try:
            # First, because these find mistakes in the config before files are written.
            self.learners = [Learner(config, role) for role in config.roles or (None,)]
            self._uncompiled_reason = config.task.uncompiled_reason()
            self._settings = config.identity
            self._identity = self._claim_folder()
            self._check_kernels()
            self._rule = StoppingRule(
                config.target_return, config.patience, config.restarts
            )
            self.timesteps = 0
            self._elapsed_before = 0.0
            self._started = time.monotonic()
            self._load_state()
            self._engine = make_engine(
                config.engine,
                dataclasses.replace(
                    config.task,
                    partners=self._kept_partners(),
                    compiled=self._identity.compiled,
                ),
                config.num_cpus if config.num_cpus > 0 else None,
                config.worker_timeout,
            )
        except BaseException:
            self._lock.close()
            raise
        self._evaluator = Evaluator(self._engine)
        self._saver = ThreadPoolExecutor(1, "save-state")
        self._saved_generation = self.generation
        self._saving: Future[None] | None = None

    def __enter__(self) -> Training:
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        try:
            self._evaluator.close()
            # Not when another error is on its way: that one says what went wrong.
            if error_type is None:
                self._wait_until_saved()
        finally:
            self._saver.shutdown()
            self._lock.close()

    @property
    def generation(self) -> int:
        """Number of completed generations."""
        return self.learners[-1].pgpe.generation

    @property
    def saved_generation(self) -> int:
        """The completed generation after which an interrupted run resumes."""
        return self._saved_generation

    @property
    def finished(self) -> bool:
        """Whether `niters` generations are complete or re-evaluations ended the run."""
        return self._rule.stopped or self.generation >= self.config.niters

    @property
    def num_workers(self) -> int:
        """Number of workers."""
        return self._engine.num_workers

    @property
    def policies_dir(self) -> Path:
        """Folder of the saved policies."""
        return self.run_dir / POLICIES_FOLDER

    def run(
        self,
        on_generation: Callable[[GenerationReport], None] | None = None,
        on_progress: Callable[[int], None] | None = None,
        deadline: float = float("inf"),
    ) -> None:
        """Train until the run is finished, or the time is over.

        Parameters
        ----------
        on_generation
            Called after each generation. Its state is safely on disk when the next one
            is complete, or the run.
        on_progress
            Called with the number of newly evaluated solutions as they finish.
        deadline
            Value of `time.monotonic()` after which no generation begins.
        """
        while not self.finished:
            if time.monotonic() >= deadline:
                return
            report = self.step(on_progress)
            if on_generation is not None:
                on_generation(report)
        # When it is resumed, a smaller niters or target_return can end a run after a
        # generation that did not save any.
        for learner in self.learners:
            if not self._policy_path(learner).exists():
                self._save_policy(learner, self._re_evaluated(learner))

    def calibrate(self, seconds: float = 3.0) -> Estimate:
        """Estimate the duration of the run by evaluating solutions for some seconds.

        Short runs get a tenth of their estimated duration instead. The solutions are
        those that the run evaluates first. Their results are discarded, so a
        calibration does not change the run.
        """
        count = min(2 * self.num_workers, self.config.popsize)
        population = self._population(self.learners[0])
        # Not timed: this starts the workers, which create their environments.
        self._evaluator.evaluate(population, 0, count)
        elapsed, steps, episodes = 0.0, 0, 0
        while True:
            started = time.monotonic()
            batch = self._evaluator.evaluate(population, 0, count)
            elapsed += time.monotonic() - started
            steps += int(batch.steps.sum())
            episodes += count
            count = min(2 * count, self.config.popsize)
            estimate = self._estimate(steps / elapsed, steps / episodes)
            if elapsed >= min(seconds, estimate.seconds / 10):
                return estimate

    def _estimate(self, rate: float, length: float) -> Estimate:
        """Return the duration of the run for a speed and a mean episode length."""
        config = self.config
        per_generation = length * config.popsize
        if config.num_interactions is not None:
            most = max(config.popsize_max or np.inf, config.popsize)
            per_generation = max(
                per_generation, min(config.num_interactions, length * most)
            )
        per_generation *= len(self.learners)
        remaining = config.niters - self.generation
        return Estimate(rate, per_generation, remaining * per_generation / rate)

    def step(
        self, on_progress: Callable[[int], None] | None = None
    ) -> GenerationReport:
        """Train for one generation.

        Its state is saved to disk while the next generation is evaluated: waiting for
        the disk takes as long as a short generation's episodes. The state of a run's
        last generation is on disk when this returns.
        """
        # With several roles, each plays with the others' centers from before this step.
        populations = [self._population(learner) for learner in self.learners]
        rows = [
            self._train(learner, population, on_progress)
            for learner, population in zip(self.learners, populations, strict=True)
        ]
        scheduled = self._is_scheduled(self.generation)
        re_evaluated = scheduled or self.finished
        candidates = [
            self._re_evaluated(learner) if re_evaluated else learner.candidate()
            for learner in self.learners
        ]
        verdict = self._judge(candidates) if scheduled else Verdict.CONTINUE
        saved = []
        if self.finished or self.generation % self.config.save_interval == 0:
            saved = [
                self._save_policy(learner, candidate)
                for learner, candidate in zip(self.learners, candidates, strict=True)
            ]
        for candidate, metrics in zip(candidates, rows, strict=True):
            if candidate.returns is not None:
                results = describe_returns(candidate.returns)
                metrics |= {f"re_eval_{k}": v for k, v in results.items()}
            metrics["timesteps"] = self.timesteps
            metrics["elapsed"] = self._elapsed()
        if verdict is Verdict.RESTART:
            for learner in self.learners:
                learner.restart()
        self._wait_until_saved()
        state = {name: array.copy() for name, array in self._state().items()}
        self._saving = self._saver.submit(self._save, self.generation, rows, state)
        if self.finished:
            self._wait_until_saved()
        return GenerationReport(rows, saved)

    def _save(self, generation: int, rows: list[dict[str, Any]], state: State) -> None:
        append_metrics(self.run_dir, rows)
        write_state(self.run_dir, state)
        self._saved_generation = generation

    def _wait_until_saved(self) -> None:
        """Wait for the last generation's state to be on disk; raise what went wrong."""
        if self._saving is not None:
            saving, self._saving = self._saving, None
            saving.result()

    def _population(self, learner: Learner) -> Population:
        others = [other for other in self.learners if other != learner]
        return learner.population(others)

    def _train(
        self,
        learner: Learner,
        population: Population,
        on_progress: Callable[[int], None] | None,
    ) -> dict[str, Any]:
        """Evaluate a population and update its distribution; return a metrics row."""
        started = time.monotonic()
        fitnesses, steps = self._evaluate_population(learner, population, on_progress)
        pop_elapsed = time.monotonic() - started
        metrics: dict[str, Any] = dict.fromkeys(METRIC_COLUMNS)
        finite = fitnesses[np.isfinite(fitnesses)]
        stdev = learner.pgpe.stdev
        metrics |= {
            "generation": learner.pgpe.generation,
            "role": learner.role,
            "popsize": len(fitnesses),
            "pop_failed": len(fitnesses) - len(finite),
            "pop_timesteps": steps,
            "pop_elapsed": pop_elapsed,
            "steps_per_second": steps / pop_elapsed,
            "stdev_min": float(stdev.min()),
            "stdev_max": float(stdev.max()),
            "stdev_mean": float(stdev.mean()),
        }
        if len(finite):
            metrics |= {
                "pop_median": float(np.median(finite)),
                "pop_mean": float(finite.mean()),
                "pop_min": float(finite.min()),
                "pop_max": float(finite.max()),
                "pop_q25": float(np.quantile(finite, 0.25)),
                "pop_q75": float(np.quantile(finite, 0.75)),
            }
        return metrics

    def _evaluate_population(
        self,
        learner: Learner,
        population: Population,
        on_progress: Callable[[int], None] | None,
    ) -> tuple[npt.NDArray[np.float64], int]:
        """Evaluate a generation and update the distribution.

        Returns the fitnesses of all solutions and the number of simulator steps.
        """
        pgpe = learner.pgpe
        batches: list[Evaluation] = []
        updated = False
        while not updated:
            batch = self._evaluator.evaluate(
                population, pgpe.num_asked, self.config.popsize, on_progress
            )
            self._warn_of_failures(batch, pgpe)
            batches.append(batch)
            updated = pgpe.tell(batch.fitnesses, batch.steps)
        for batch in batches:
            learner.obs_stats.merge(batch.obs_stats)
        steps = int(sum(batch.steps.sum() for batch in batches))
        self.timesteps += steps
        return np.concatenate([batch.fitnesses for batch in batches]), steps

    def _warn_of_failures(self, batch: Evaluation, pgpe: PGPE) -> None:
        for index in np.flatnonzero(~np.isfinite(batch.fitnesses)):
            logger.warning(
                "generation %d: solution %d (seed %d) has fitness %s; "
                "it counts as the worst",
                pgpe.generation,
                pgpe.num_asked + index,
                self.config.seed,
                batch.fitnesses[index],
            )

    def _is_scheduled(self, generation: int) -> bool:
        """Return whether `re_eval_interval` requires a re-evaluation in a generation.

        Only these re-evaluations count for the best center and for restarts, not the
        one at the end of a run, so that a run resumed with a larger `niters` gives the
        same results as one that had it from the start.
        """
        interval = self.config.re_eval_interval
        return interval > 0 and generation % interval == 0

    def _re_evaluated(self, learner: Learner) -> Candidate:
        result = self._evaluator.re_evaluate(
            self._population(learner), self.config.re_eval_num_episodes
        )
        return learner.candidate(result.fitnesses.tolist())

    def _judge(self, candidates: list[Candidate]) -> Verdict:
        """Keep the best candidates, and decide whether the search continues."""
        for learner, candidate in zip(self.learners, candidates, strict=True):
            learner.keep(candidate)
        mean = candidates[0].mean_return
        verdict = self._rule.judge(mean)
        if verdict is not Verdict.CONTINUE:
            logger.info(
                "generation %d: %s",
                self.generation,
                f"the mean return {mean:.3f} reached target_return"
                if self._rule.reached(mean)
                else f"{self.config.patience} re-evaluations were not better; "
                + ("restarting" if verdict is Verdict.RESTART else "the run ends"),
            )
        return verdict

    def _policy_path(self, learner: Learner) -> Path:
        return self.policies_dir / policy_file_name(
            self._identity.date,
            self.config.env_name,
            self._identity.pid,
            self.generation,
            learner.role,
        )

    def _save_policy(self, learner: Learner, candidate: Candidate) -> Path:
        if self.config.keep_best:
            candidate = learner.best_with(candidate)
        path = self._policy_path(learner)
        returns = candidate.returns
        metadata = PolicyMetadata(
            generation=self.generation,
            role=learner.role,
            timesteps=self.timesteps,
            seed=self.config.seed,
            commit=source_commit(),
            config=self._settings,
            re_eval_env_name=self.config.registered_env_name,
            re_eval_returns=None if returns is None else list(returns),
            best_generation=candidate.generation if self.config.keep_best else None,
            stated=TRAINING_KEYS,
        )
        save_policy(learner.policy(candidate, metadata), path)
        return path

    def _elapsed(self) -> float:
        return self._elapsed_before + time.monotonic() - self._started

    def _lock_folder(self) -> IO[bytes]:
        """Lock the folder for as long as the returned file is open."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        try:
            file, locked = locks.acquire(self.run_dir / LOCK_FILE)
        except locks.LockedError as error:
            raise RunLockedError(
                f"{self.run_dir}: another process is training here; wait until it has "
                "finished, stop it, or choose another run_dir"
            ) from error
        if not locked:
            # Train nevertheless.
            logger.warning(
                "%s is on a file system without locks; make sure that no other process "
                "trains there",
                self.run_dir,
            )
        return file

    def _claim_folder(self) -> RunIdentity:
        identity = read_identity(self.run_dir)
        if identity is None:
            now = datetime.datetime.now()
            identity = RunIdentity(
                self.config.digest,
                now.strftime("%Y_%m_%d_%H_%M_%S"),
                os.getpid(),
                source_commit(),
                self._settings,
                self._uncompiled_reason is None,
            )
            write_identity(self.run_dir, identity)
        if identity.digest != self.config.digest:
            old = identity.config
            changes = ", ".join(
                f"{name}: {old.get(name)} -> {value}"
                for name, value in self._settings.items()
                if name not in BUDGET_KEYS and old.get(name) != value
            )
            raise RunMismatchError(
                f"{self.run_dir} holds a run with a different configuration "
                f"({changes}); choose another run_dir, or use that run's settings"
            )
        return identity

    def _kept_partners(self) -> Partners:
        """Copy saved partners next to the policies, for everything that plays later."""
        partners = self.config.partner_names
        policies = load_partners(partners)
        files = {
            standard_name(policy.digest): Path(path)
            for path, policy in policies.items()
        }
        keep(files, self.policies_dir)
        # Workers may have another working directory.
        folder = self.policies_dir.absolute()
        return located(with_standard_names(partners, policies), folder)

    def _check_kernels(self) -> None:
        """Log whether compiled kernels play the run, and reject runs that need them."""
        reason = self._uncompiled_reason
        if self._identity.compiled:
            if reason is not None:
                raise RunMismatchError(
                    f"{self.run_dir} holds a run that uses compiled kernels, which "
                    f"cannot play it now ({reason}); choose another run_dir"
                )
            logger.info("compiled kernels play the episodes")
        elif family_of(self.config.env_name) is not None:
            if reason is None:
                reason = f"{self.run_dir} holds a run that started without them"
            logger.info("compiled kernels do not play the episodes: %s", reason)

    def _state(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that the next generation depends on, as arrays."""
        return {k: v for each in self.learners for k, v in each.state().items()} | {
            "timesteps": np.array(self.timesteps),
            "elapsed": np.array(self._elapsed()),
        }

    def _load_state(self) -> None:
        state = read_state(self.run_dir, self._state())
        if state is not None:
            for learner in self.learners:
                learner.load_state(dict(state))
            self.timesteps = int(state["timesteps"])
            self._elapsed_before = float(state["elapsed"])
            logger.info("resuming after generation %d", self.generation)
        roles = [learner.role for learner in self.learners]
        for row in trim_metrics(self.run_dir, self.generation, roles):
            if row["re_eval_mean"] and self._is_scheduled(int(row["generation"])):
                self._rule.judge(float(row["re_eval_mean"]))


def describe_returns(returns: Sequence[float]) -> dict[str, float]:
    """Return mean, median, min, max and (sample) stdev of returns, by name."""
    values = np.asarray(returns)
    return {
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "min": float(values.min()),
        "max": float(values.max()),
        "stdev": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
    }
