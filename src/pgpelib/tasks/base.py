"""The interface between evolution strategies and environments."""

from __future__ import annotations

import abc
import dataclasses
import itertools
from collections.abc import Generator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from pgpelib.policies.networks import Array, Layer, Network, Vector, fold_normalization
from pgpelib.policies.policy import ActionSpec, Architecture
from pgpelib.policies.running_statistics import RunningStat
from pgpelib.tasks import lockstep

# Networks of the agent ids that the learner does not play.
Others = Mapping[str, Network]
# Forward passes of this many networks cost little more than one.
MAX_SLOTS = 8


@dataclasses.dataclass(frozen=True)
class Rollout:
    """One episode, or all episodes of a solution.

    Parameters
    ----------
    fitness
        Return of the episode (the mean over the agents that the network plays),
        reduced by `decrease_rewards_by` a step; the mean over several episodes.
    steps
        Simulator steps, of several episodes together.
    obs_stats
        Statistics of the observations, as the network saw them.
    """

    fitness: float
    steps: int
    obs_stats: RunningStat


@dataclasses.dataclass(frozen=True)
class Batch:
    """Solutions and the episodes that they play.

    Parameters
    ----------
    architecture
        The learner's network.
    solutions
        Its parameters, n vectors of shape (num_parameters,).
    seeds
        Seeds of m episodes of each solution, shape (n, m).
    mean, stdev
        Observation normalisation, shape (observation_size,); None without any.
    others
        Layers of the networks that play the other agent ids, with the observation
        normalisation folded in.
    """

    architecture: Architecture
    solutions: Sequence[Vector]
    seeds: Sequence[Sequence[int]]
    mean: Vector | None = None
    stdev: Vector | None = None
    others: Mapping[str, Sequence[Layer]] = dataclasses.field(default_factory=dict)


def merged(rollouts: Sequence[Rollout]) -> Rollout:
    """Return the episodes of one solution as one rollout."""
    if len(rollouts) == 1:
        return rollouts[0]
    stats = RunningStat.empty(len(rollouts[0].obs_stats.sum))
    for rollout in rollouts:
        stats.merge(rollout.obs_stats)
    return Rollout(
        float(np.mean([rollout.fitness for rollout in rollouts])),
        sum(rollout.steps for rollout in rollouts),
        stats,
    )


Partners = Sequence[str] | Mapping[str, float]
"""Ids of policies that play the other agents: they take turns, or are drawn for each
episode by their weights."""

# Suspended whenever it needs the outputs for the observations that it has written.
Episode = Generator[None, None, Rollout]


@dataclasses.dataclass(frozen=True)
class TaskOptions:
    """How the episodes of a task are played.

    Parameters
    ----------
    max_episode_length
        Stop an episode after this many steps; -1 for the environment's own limit.
    decrease_rewards_by
        Subtracted from the rewards of every step of the agents that learn.
    role
        The agent id that the learner plays; None for all of them or, with partners, for
        each in turn.
    partners
        Who plays the other agents.
    only_if_endless
        Use `max_episode_length` only if the environment has no time limit, as
        re-evaluations do.
    """

    max_episode_length: int = -1
    decrease_rewards_by: float = 0.0
    role: str | None = None
    partners: Partners = ()
    only_if_endless: bool = False


def episode_limit(
    env_name: str, endless: bool, max_episode_length: int, only_if_endless: bool
) -> int | None:
    """Return the steps after which a task stops an episode; None for never.

    Parameters
    ----------
    env_name
        The environment, for errors.
    endless
        Whether the environment has no time limit.
    max_episode_length
        The limit that was set; -1 for none.
    only_if_endless
        Whether that limit applies only to environments that have none.

    Raises
    ------
    ValueError
        If there is no limit at all.
    """
    if endless and max_episode_length < 1:
        raise ValueError(
            f"{env_name}: has no time limit, so its episodes may never end; set "
            "max_episode_length"
        )
    if max_episode_length < 1 or (only_if_endless and not endless):
        return None
    return max_episode_length


class Task(abc.ABC):
    """An environment that can play episodes with given networks.

    Attributes
    ----------
    observation_size
        Length of the observations that networks see.
    action
        How outputs become actions.
    obs_processor, action_processor
        POSGGym processors (name, keyword arguments) between environment and network.
    lanes
        Agents that the learner's network plays at most.
    max_slots
        Episodes that can be played side by side, each in its own environment.
    """

    observation_size: int
    action: ActionSpec
    obs_processor: tuple[str, dict[str, Any]]
    action_processor: tuple[str, dict[str, Any]]
    lanes: int = 1
    max_slots: int = MAX_SLOTS

    @abc.abstractmethod
    def episode(
        self,
        slot: int,
        seed: int,
        observations: Array,
        outputs: Array,
        others: Others | None = None,
    ) -> Episode:
        """Play one episode, a function of seed, outputs and other networks alone.

        Parameters
        ----------
        slot
            Which of the environments to play in, from 0.
        seed
            Seed of the episode.
        observations
            Shape (lanes, observation_size). The episode writes what the learner sees,
            and yields.
        outputs
            Shape (lanes, output_size). The episode reads the network's answers there
            when it continues.
        others
            Networks of the agents that the learner does not play.
        """

    def play(self, batch: Batch) -> list[Rollout]:
        """Play all episodes of a batch.

        Returns
        -------
        list of Rollout
            One for each solution. It depends on the solution, its seeds, the
            normalisation and the other networks alone.
        """
        activation = batch.architecture.activation
        layers = [
            fold_normalization(
                batch.architecture.layers(solution), batch.mean, batch.stdev
            )
            for solution in batch.solutions
        ]
        rollouts = lockstep.play(
            self,
            [each for each, own in zip(layers, batch.seeds, strict=True) for _ in own],
            activation,
            [seed for own in batch.seeds for seed in own],
            {i: Network(each, activation) for i, each in batch.others.items()},
        )
        remaining = iter(rollouts)
        return [
            merged(list(itertools.islice(remaining, len(own)))) for own in batch.seeds
        ]

    def rollout(
        self, network: Network, seed: int, others: Others | None = None
    ) -> Rollout:
        """Play one episode with one network."""
        acts = [network.start() for _ in range(self.lanes)]
        observations = np.zeros((self.lanes, self.observation_size))
        outputs = np.zeros((self.lanes, self.action.output_size))
        episode = self.episode(0, seed, observations, outputs, others)
        lanes = list(zip(acts, observations, outputs, strict=True))
        while True:
            try:
                next(episode)
            except StopIteration as stop:
                return cast(Rollout, stop.value)
            for act, observation, output in lanes:
                output[:] = act(observation)


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

    def add(self, observation: Array) -> None:
        """Keep a copy of an observation."""
        if self._count == len(self._buffer):
            self._buffer = np.concatenate([self._buffer, np.empty_like(self._buffer)])
        self._buffer[self._count] = observation
        self._count += 1

    def stats(self) -> RunningStat:
        """Summarise the episode."""
        return RunningStat.of(self._buffer[: self._count])
