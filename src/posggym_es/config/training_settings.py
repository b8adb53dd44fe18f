"""What experiments and populations say about their training."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import Self

from pgpelib.training.config import TrainSettings
from pgpelib.utils.settings import PositiveInt, Settings, Text

_Even = Annotated[int, Field(ge=2, multiple_of=2)]


class Limits(Settings):
    """Upper limits of training settings at a scale."""

    niters: PositiveInt | None = None
    popsize: _Even | None = None
    popsize_max: PositiveInt | None = None
    num_interactions: PositiveInt | None = None
    max_episode_length: PositiveInt | None = None
    re_eval_num_episodes: PositiveInt | None = None
    """Also limits the episodes of verification and cross-play."""


class ExperimentTraining(TrainSettings):
    """Training settings of an experiment; `env_name` is required."""

    env_name: Text = Field(
        description=TrainSettings.model_fields["env_name"].description
    )

    def limited(self, limits: Limits) -> Self:
        """Return these settings with every budget at most at its limit.

        Settings that are left at their defaults are limited as well; a setting of None
        (no such budget) stays None.
        """
        budgets = {
            name: min(getattr(self, name), limit)
            for name, limit in limits.to_dict().items()
            if limit is not None and getattr(self, name) is not None
        }
        # Made again, because others follow from them.
        return self.from_dict(self.given() | budgets)


class Resources(Settings):
    """Resources of a training job."""

    threads: PositiveInt = 1
    """Worker processes of a training job, limited by `--cores`."""
    mem_mb: PositiveInt = 4000
    """Memory of a training job in MB, for clusters."""
    runtime: PositiveInt = 60
    """Time limit of a training job in minutes, for clusters."""
    nodes: PositiveInt = 1
    """Slurm nodes of a training job, each with these threads and this memory
    ([how](slurm.md#one-run-on-several-nodes))."""
