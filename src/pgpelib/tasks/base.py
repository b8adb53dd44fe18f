"""The interface between evolution strategies and environments."""

from __future__ import annotations

import abc
import dataclasses
import itertools
from collections.abc import Generator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from pgpelib.policies.networks import Array, Layer, Network, Vector, fold_normalization
from pgpelib.policies.partners import Partners
from pgpelib.policies.policy import ActionSpec, Architecture
from pgpelib.policies.running_statistics import RunningStat
from pgpelib.tasks import lockstep

# Networks of the agent ids that the learner does not play.
Others = Mapping[str, Network]
# Forward passes of this many networks together cost little more than one.
MAX_SLOTS = 8


@dataclasses.dataclass(frozen=True)
class Rollout:
    """The result of one episode, or of all episodes of a solution.

    Parameters
    ----------
    fitness
        Return minus `decrease_rewards_by` per step, averaged over the agents that the
        network plays and over the episodes.
    steps
        Total number of simulator steps.
    obs_stats
        Statistics of the network's observations, before normalisation.
    """

    fitness: float
    steps: int
    obs_stats: RunningStat


@dataclasses.dataclass(frozen=True)
class Batch:
    """Solutions to evaluate, and the seeds of their episodes.

    Parameters
    ----------
    architecture
        Architecture of the solutions' networks.
    solutions
        Parameter vectors of n solutions, each of shape (num_parameters,).
    seeds
        Seeds of m episodes per solution, shape (n, m).
    mean, stdev
        Observation normalisation, shape (observation_size,); None for no normalisation.
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
    """Combine the episodes of one solution into one rollout."""
    if len(rollouts) == 1:
        return rollouts[0]
    parts = [rollout.obs_stats for rollout in rollouts]
    return Rollout(
        float(np.mean([rollout.fitness for rollout in rollouts])),
        sum(rollout.steps for rollout in rollouts),
        RunningStat.total(parts, len(parts[0].sum)),
    )


# Yields whenever it has written observations and needs the network's outputs for them.
Episode = Generator[None, None, Rollout]


@dataclasses.dataclass(frozen=True)
class TaskOptions:
    """Options of a task, independent of its environment.

    Parameters
    ----------
    max_episode_length
        Stop an episode after this many steps; -1 for the environment's own limit.
    decrease_rewards_by
        Subtracted from each reward of the learning agents.
    role
        The agent id that the learner plays; None for all agents, or with partners for
        each agent in turn.
    partners
        Who plays the other agents.
    only_if_endless
        Whether `max_episode_length` applies only if the environment has no time limit,
        as in re-evaluations.
    stochastic
        Whether the learner draws its discrete actions.
    """

    max_episode_length: int = -1
    decrease_rewards_by: float = 0.0
    role: str | None = None
    partners: Partners = ()
    only_if_endless: bool = False
    stochastic: bool = False


def episode_limit(
    env_name: str, endless: bool, max_episode_length: int, only_if_endless: bool
) -> int | None:
    """Return the number of steps after which a task stops an episode; None for never.

    Parameters
    ----------
    env_name
        The environment, for error messages.
    endless
        Whether the environment itself has no time limit.
    max_episode_length
        The setting; -1 for no limit.
    only_if_endless
        Whether the setting applies only to environments without a time limit.

    Raises
    ------
    ValueError
        If episodes would have no limit at all.
    """
    if endless and max_episode_length < 1:
        raise ValueError(
            f"{env_name} has no time limit, so its episodes may never end; set "
            "max_episode_length"
        )
    if max_episode_length < 1 or (only_if_endless and not endless):
        return None
    return max_episode_length


class Task(abc.ABC):
    """An environment in which networks can play episodes.

    Attributes
    ----------
    observation_size
        Length of the network's observations.
    action
        How network outputs are converted to actions.
    obs_processor, action_processor
        POSGGym processors (name, keyword arguments) between environment and network.
    lanes
        Maximum number of agents that the learner's network plays in an episode.
    max_slots
        Maximum number of episodes played in lockstep, each in its own environment.
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
        """Play one episode, which depends only on seed, outputs and other networks.

        Parameters
        ----------
        slot
            Index of the environment to play in.
        seed
            Seed of the episode.
        observations
            Shape (lanes, observation_size). Before each yield, the episode writes the
            learner's observations here.
        outputs
            Shape (lanes, output_size). After each yield, the episode reads the
            network's outputs from here.
        others
            Networks of the agents that the learner does not play.
        """

    def play(self, batch: Batch) -> list[Rollout]:
        """Play all episodes of a batch.

        Returns
        -------
        list of Rollout
            One per solution, which depends only on the solution, its seeds, the
            normalisation and the other networks.
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
        """Play the episode of a seed with one network for all lanes."""
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
    """Records the observations of an episode in a growing array.

    Parameters
    ----------
    size
        Length of an observation.
    """

    def __init__(self, size: int) -> None:
        self._buffer = np.empty((1024, size))
        self._count = 0

    def start(self) -> None:
        """Discard the observations of the previous episode."""
        self._count = 0

    def add(self, observation: Array) -> None:
        """Append a copy of an observation."""
        if self._count == len(self._buffer):
            self._buffer = np.concatenate([self._buffer, np.empty_like(self._buffer)])
        self._buffer[self._count] = observation
        self._count += 1

    def stats(self) -> RunningStat:
        """Return the statistics of the episode's observations."""
        return RunningStat.of(self._buffer[: self._count])
