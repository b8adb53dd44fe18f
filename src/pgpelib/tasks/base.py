"""The interface between evolution strategies and environments."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from pgpelib.policies import ActionSpec
from pgpelib.runningstat import RunningStat

Act = Callable[[npt.NDArray[np.floating]], npt.NDArray[np.float64]]


class Network(Protocol):
    """A policy's forward pass, see `pgpelib.policies`."""

    def start(self) -> Act:
        """Return the function from observations to outputs for one agent's episode."""


# Networks of the agent ids that the learner does not play.
Others = Mapping[str, Network]


@dataclasses.dataclass(frozen=True)
class Rollout:
    """One episode.

    Parameters
    ----------
    fitness
        Return of the episode (the mean over the agents that the network plays),
        reduced by `decrease_rewards_by` a step.
    steps
        Simulator steps.
    obs_stats
        Statistics of the observations, as the network saw them.
    """

    fitness: float
    steps: int
    obs_stats: RunningStat


class Task(Protocol):
    """An environment that can play one episode with a given network."""

    observation_size: int
    action: ActionSpec
    obs_processor: tuple[str, dict[str, Any]]
    action_processor: tuple[str, dict[str, Any]]

    def rollout(
        self, network: Network, seed: int, others: Others | None = None
    ) -> Rollout:
        """Play one episode; a function of the networks and the seed alone."""


class ObservationRecorder:
    """Keeps the observations of an episode in one growing array.

    Parameters
    ----------
    size
        Length of an observation.
    """

    def __init__(self, size: int) -> None:
        self._buffer = np.empty((1024, size))
        self._count = 0

    def start(self) -> None:
        """Forget the observations of the last episode."""
        self._count = 0

    def add(self, observation: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Keep an observation and return it as a float64 row of the array."""
        if self._count == len(self._buffer):
            self._buffer = np.concatenate([self._buffer, np.empty_like(self._buffer)])
        row = self._buffer[self._count]
        row[:] = observation
        self._count += 1
        return row

    def stats(self) -> RunningStat:
        """Summarise the episode."""
        return RunningStat.of(self._buffer[: self._count])
