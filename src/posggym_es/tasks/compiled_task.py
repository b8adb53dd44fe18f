"""POSGGym environments as training tasks whose episodes compiled kernels play."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pgpelib.policies.networks import Layer
from pgpelib.policies.policy import Architecture
from pgpelib.policies.running_statistics import RunningStat
from pgpelib.tasks.base import Batch, Rollout
from posggym_compiled import networks
from posggym_compiled.interface import UnsupportedError, World, world_for
from posggym_compiled.rollouts import Opponent, Outcomes, Players, rescaling
from posggym_es.tasks.casting import cast
from posggym_es.tasks.posggym_envs import complete_env_args
from posggym_es.tasks.posggym_task import PosggymTask


def compiled_world(env_name: str, env_config: dict[str, Any]) -> World:
    """Return the compiled form of a POSGGym environment.

    Raises
    ------
    UnsupportedError
        If the environment, an argument of it or one of its spaces has none.
    """
    world = world_for(env_name, **complete_env_args(env_name, env_config))
    for specs in (world.observations, world.actions):
        rescaling(specs)
    return world


def reason_against(env_name: str, env_config: dict[str, Any]) -> str | None:
    """Return why kernels cannot play an environment, or None if they can."""
    try:
        compiled_world(env_name, env_config)
    except UnsupportedError as error:
        return str(error)
    return None


class CompiledTask(PosggymTask):
    """A POSGGym environment whose batches of episodes are played in one call.

    The episodes are POSGGym's own. Networks compute in another order than NumPy, so a
    fitness may differ from `PosggymTask`'s where the last bits of an output do.

    Parameters
    ----------
    env_name, env_config, max_episode_length, decrease_rewards_by, role
        See `PosggymTask`.
    only_if_endless
        See `PosggymTask`.

    Raises
    ------
    ValueError
        As `PosggymTask`, and `UnsupportedError` if kernels cannot play it.
    """

    def __init__(
        self,
        env_name: str,
        env_config: dict[str, Any],
        max_episode_length: int = -1,
        decrease_rewards_by: float = 0.0,
        role: str | None = None,
        only_if_endless: bool = False,
    ) -> None:
        super().__init__(
            env_name,
            env_config,
            max_episode_length,
            decrease_rewards_by,
            role,
            only_if_endless=only_if_endless,
        )
        self._world = compiled_world(env_name, env_config)
        self._self_play: tuple[Architecture, Players] | None = None

    def play(self, batch: Batch) -> list[Rollout]:
        """Play the episodes of a batch, see `Task.play`."""
        parts = cast(self._agents, 0, self._role, {i: [i] for i in batch.others})
        # The learner is network 0.
        numbers = {None: 0} | {i: n for n, i in enumerate(batch.others, 1)}
        networks_of = np.array([numbers[parts[agent]] for agent in self._world.agents])
        seeds = np.array(batch.seeds, np.uint64)
        outcomes = self._players(batch).play(
            np.stack(batch.solutions),
            seeds,
            mean=batch.mean,
            stdev=batch.stdev,
            cast=np.broadcast_to(networks_of, (*seeds.shape, len(networks_of))),
            max_steps=self._max_steps,
            decrease_rewards_by=self._decrease,
        )
        return [rollout_of(outcomes, n) for n in range(len(seeds))]

    def _players(self, batch: Batch) -> Players:
        """Return what plays; in self-play it serves all batches."""
        if batch.others:
            opponents = [
                opponent(batch.architecture, layers) for layers in batch.others.values()
            ]
            return Players(self._world, compiled(batch.architecture), opponents)
        if self._self_play is None or self._self_play[0] != batch.architecture:
            players = Players(self._world, compiled(batch.architecture))
            self._self_play = batch.architecture, players
        return self._self_play[1]


def compiled(architecture: Architecture) -> networks.Architecture:
    """Return an architecture for kernels."""
    return networks.Architecture(**dataclasses.asdict(architecture))


def opponent(like: Architecture, layers: Sequence[Layer]) -> Opponent:
    """Return a network that plays with the learner.

    Parameters
    ----------
    like
        Its architecture, but for the sizes of observations and outputs.
    layers
        Its layers, with the observation normalisation folded in.
    """
    architecture = dataclasses.replace(
        compiled(like),
        observation_size=layers[0][0].shape[1],
        output_size=len(layers[-1][-1]),
    )
    parameters: npt.NDArray[np.float64] = np.concatenate(
        [array.ravel() for layer in layers for array in layer]
    )
    return Opponent(architecture, parameters)


def rollout_of(outcomes: Outcomes, n: int) -> Rollout:
    """Return what a solution did in all of its episodes."""
    return Rollout(
        float(outcomes.fitness[n].mean()),
        int(outcomes.steps[n].sum()),
        RunningStat(int(outcomes.counts[n]), outcomes.sums[n], outcomes.sumsqs[n]),
    )
