"""One search of a training run: its distribution, observations and policy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pgpelib.engines.evaluation import Normalization, Subject
from pgpelib.policies.networks import Layer, fold_normalization
from pgpelib.policies.policy import SavedPolicy
from pgpelib.policies.running_statistics import RunningStat
from pgpelib.search.pgpe import PGPE
from pgpelib.training.config import TrainingConfig


class Learner:
    """The policy of one agent id, or of all, and the search for it.

    Parameters
    ----------
    config
        The run's configuration.
    role
        The agent id that the policy plays; None for all.
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
            num_interactions=config.num_interactions,
            popsize_max=config.popsize_max,
            seed=config.seed,
            learner=0 if role is None else config.roles.index(role),
        )
        self.obs_stats = RunningStat.empty(self.architecture.observation_size)

    def normalization(self) -> Normalization:
        """Observation normalisation of the current generation."""
        if not self._config.obs_norm or self.obs_stats.count == 0:
            return Normalization()
        return Normalization(self.obs_stats.mean, self.obs_stats.stdev)

    def folded_layers(self) -> list[Layer]:
        """Layers of the current center with the observation normalisation in them."""
        normalization = self.normalization()
        return fold_normalization(
            self.architecture.layers(self.pgpe.center),
            normalization.mean,
            normalization.stdev,
        )

    def subject(self, others: list[Learner]) -> Subject:
        """Return what is evaluated: the solutions, with the centers of the others."""
        return Subject(
            self.pgpe.distribution,
            self.normalization(),
            self.role,
            {str(other.role): other.folded_layers() for other in others},
        )

    def policy(self, notes: dict[str, Any]) -> SavedPolicy:
        """Return the current center as a policy.

        Raises
        ------
        ValueError
            If a number is NaN or infinite.
        """
        self._refuse_non_finite({"center": self.pgpe.center})
        normalization = self.normalization()
        return SavedPolicy(
            layers=self.architecture.layers(self.pgpe.center),
            activation=self._config.activation,
            obs_mean=normalization.mean,
            obs_stdev=normalization.stdev,
            action=self._action,
            env_name=self._config.env_name,
            env_config=self._config.env_config,
            obs_processor=self._processors[0],
            action_processor=self._processors[1],
            notes=notes,
        )

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that the next generation depends on, as arrays.

        Raises
        ------
        ValueError
            If a number is NaN or infinite; no generation could follow from that.
        """
        arrays = self.pgpe.state() | {
            "obs_count": np.array(self.obs_stats.count),
            "obs_sum": self.obs_stats.sum,
            "obs_sumsq": self.obs_stats.sumsq,
        }
        self._refuse_non_finite(arrays)
        return {self._prefix + name: array for name, array in arrays.items()}

    def _refuse_non_finite(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise ValueError(
                    f"{name} is NaN or infinite after generation "
                    f"{self.pgpe.generation}, which is not saved; use a smaller radius "
                    "or max_speed, or check the environment's rewards"
                )

    def load_state(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Go on from what `state` returned, among the arrays of other learners."""
        own = {
            name.removeprefix(self._prefix): array
            for name, array in state.items()
            if name.startswith(self._prefix)
        }
        self.pgpe.load_state(own)
        self.obs_stats = RunningStat(
            int(own["obs_count"]), own["obs_sum"], own["obs_sumsq"]
        )

    @property
    def _prefix(self) -> str:
        return "" if self.role is None else f"{self.role}:"
