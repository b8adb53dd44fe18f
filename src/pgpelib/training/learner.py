"""The search for one policy: its distribution, observation statistics and policy."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pgpelib.engines.evaluation import Normalization, Population
from pgpelib.policies.metadata import PolicyMetadata, comparable_mean
from pgpelib.policies.networks import Layer, fold_normalization
from pgpelib.policies.policy import SavedPolicy
from pgpelib.policies.running_statistics import RunningStat
from pgpelib.search.pgpe import INIT_STREAM, PGPE, random_stream
from pgpelib.training.config import TrainingConfig
from pgpelib.training.starting_point import StartingPoint, read_starting_point


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A center of the search distribution that may be saved as a policy.

    Parameters
    ----------
    generation
        Number of completed generations at that time.
    center
        Shape (n,), float64.
    obs_stats
        Statistics that its observations are normalised with.
    returns
        Returns of its re-evaluation episodes; None if it was not re-evaluated.
    """

    generation: int
    center: npt.NDArray[np.float64]
    obs_stats: RunningStat
    returns: Sequence[float] | None = None

    @property
    def mean_return(self) -> float:
        """Mean return; minus infinity if it is NaN or there are no returns."""
        return comparable_mean(self.returns)


class Learner:
    """The search for the policy of one agent id, or of all agents.

    Parameters
    ----------
    config
        The run's configuration.
    role
        The agent id that the policy plays; None for all.

    Raises
    ------
    ValueError
        If `init_policy` cannot be read, or has another network.
    """

    def __init__(self, config: TrainingConfig, role: str | None) -> None:
        self.role = role
        self._config = config
        task = config.task.training_task(role)
        self._action = task.action
        self._processors = task.obs_processor, task.action_processor
        self.architecture = config.task.architecture(task)
        size = self.architecture.num_parameters
        self.pgpe = PGPE(
            solution_length=size,
            popsize=config.popsize,
            center_learning_rate=config.center_lr,
            stdev_init=config.radius / np.sqrt(size),
            stdev_learning_rate=config.stdev_lr,
            stdev_max_change=config.stdev_max_change,
            solution_ranking=config.solution_ranking,
            optimizer=config.optimizer,
            optimizer_config=(
                {"max_speed": config.max_speed} if config.optimizer == "clipup" else {}
            ),
            max_speed_decay=config.max_speed_decay,
            stdev_decay=config.stdev_decay,
            num_interactions=config.num_interactions,
            popsize_max=config.popsize_max,
            seed=config.seed,
            learner=0 if role is None else config.roles.index(role),
        )
        self._best: Candidate | None = None
        self._start: StartingPoint | None = None
        if config.init_policy is not None:
            self._start = read_starting_point(
                Path(config.init_policy),
                self.architecture,
                config.obs_norm,
                self._initial_random(),
            )
        self.restart()

    def _no_observations(self) -> RunningStat:
        return RunningStat.empty(self.architecture.observation_size)

    def restart(self) -> None:
        """Start a new search; only the best center so far is kept."""
        pgpe = self.pgpe
        if self._start is not None:
            pgpe.restart(self._start.center)
            self.obs_stats = dataclasses.replace(self._start.obs_stats)
            return
        gain, rng = self._config.init_gain, self._initial_random()
        pgpe.restart(self.architecture.initial_parameters(gain, rng))
        self.obs_stats = self._no_observations()

    def _initial_random(self) -> np.random.Generator:
        """Return the generator that draws the weights a search starts with."""
        pgpe = self.pgpe
        return random_stream(pgpe.seed, INIT_STREAM, pgpe.generation, 0, pgpe.learner)

    def normalization(self) -> Normalization:
        """Return the observation normalisation of the current generation."""
        return self._normalization(self.obs_stats)

    def _normalization(self, obs_stats: RunningStat) -> Normalization:
        if not self._config.obs_norm or obs_stats.count == 0:
            return Normalization()
        return Normalization(obs_stats.mean, obs_stats.stdev)

    def folded_layers(self) -> list[Layer]:
        """Return the current center's layers, with the normalisation folded in."""
        normalization = self.normalization()
        return fold_normalization(
            self.architecture.layers(self.pgpe.center),
            normalization.mean,
            normalization.stdev,
        )

    def population(self, others: list[Learner]) -> Population:
        """Return the current population, to play with the other learners' centers."""
        return Population(
            self.pgpe.distribution,
            self.normalization(),
            self.role,
            {str(other.role): other.folded_layers() for other in others},
        )

    def candidate(self, returns: Sequence[float] | None = None) -> Candidate:
        """Return the current center, with the returns of its re-evaluation if any."""
        # A copy: the statistics keep changing.
        stats = dataclasses.replace(self.obs_stats)
        return Candidate(self.pgpe.generation, self.pgpe.center, stats, returns)

    def keep(self, candidate: Candidate) -> None:
        """Keep a candidate if it is the best one so far."""
        self._best = self.best_with(candidate)

    def best_with(self, candidate: Candidate) -> Candidate:
        """Return the better of the best candidate so far and the given one."""
        best = self._best
        if best is None or candidate.mean_return > best.mean_return:
            return candidate
        return best

    def policy(self, candidate: Candidate, metadata: PolicyMetadata) -> SavedPolicy:
        """Return a candidate as a policy with the given metadata.

        Raises
        ------
        ValueError
            If the center has NaN or infinite values.
        """
        self._refuse_non_finite({"center": candidate.center})
        normalization = self._normalization(candidate.obs_stats)
        return SavedPolicy(
            layers=self.architecture.layers(candidate.center),
            activation=self._config.activation,
            obs_mean=normalization.mean,
            obs_stdev=normalization.stdev,
            action=self._action,
            env_name=self._config.env_name,
            env_config=self._config.env_config,
            obs_processor=self._processors[0],
            action_processor=self._processors[1],
            metadata=metadata,
        )

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that the next generation depends on, as arrays.

        Raises
        ------
        ValueError
            If a value is NaN or infinite, so that training cannot continue.
        """
        arrays = self.pgpe.state() | _stats_state("", self.obs_stats)
        if self._config.keep_best:
            arrays |= self._best_state()
        self._refuse_non_finite(arrays)
        return {self._prefix + name: array for name, array in arrays.items()}

    def _best_state(self) -> dict[str, npt.NDArray[Any]]:
        best = self._best
        if best is None:
            # Arrays of the same shapes; generation 0 means that there is none yet.
            none = [0.0] * self._config.re_eval_num_episodes
            center = np.zeros_like(self.pgpe.center)
            best = Candidate(0, center, self._no_observations(), none)
        return {
            "best.generation": np.array(best.generation),
            "best.center": best.center,
            "best.returns": np.array(best.returns),
            **_stats_state("best.", best.obs_stats),
        }

    def _refuse_non_finite(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(
                    f"{name} is NaN or infinite after generation "
                    f"{self.pgpe.generation}, which is not saved; try a smaller radius "
                    "or max_speed, or check the environment's rewards"
                )

    def load_state(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Restore what `state` returned; arrays of other learners are ignored."""
        own = {
            name.removeprefix(self._prefix): array
            for name, array in state.items()
            if name.startswith(self._prefix)
        }
        self.pgpe.load_state(own)
        self.obs_stats = _stats_of("", own)
        if own.get("best.generation"):
            self._best = Candidate(
                int(own["best.generation"]),
                own["best.center"],
                _stats_of("best.", own),
                own["best.returns"].tolist(),
            )

    @property
    def _prefix(self) -> str:
        return "" if self.role is None else f"{self.role}:"


def _stats_state(prefix: str, stats: RunningStat) -> dict[str, npt.NDArray[Any]]:
    return {
        f"{prefix}obs_count": np.array(stats.count),
        f"{prefix}obs_sum": stats.sum,
        f"{prefix}obs_sumsq": stats.sumsq,
    }


def _stats_of(prefix: str, state: dict[str, npt.NDArray[Any]]) -> RunningStat:
    return RunningStat(
        int(state[f"{prefix}obs_count"]),
        state[f"{prefix}obs_sum"],
        state[f"{prefix}obs_sumsq"],
    )
