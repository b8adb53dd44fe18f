"""POSGGym environments as training tasks whose episodes compiled kernels play."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pgpelib.policies.networks import Layer
from pgpelib.policies.partners import Partners, is_saved
from pgpelib.policies.policy import Architecture
from pgpelib.policies.running_statistics import RunningStat
from pgpelib.tasks.base import Batch, Rollout, TaskOptions
from posggym_compiled import networks
from posggym_compiled.interface import UnsupportedError, World, world_for
from posggym_compiled.partners.kinds import Opponent, Partner, SampledNetwork, Uniform
from posggym_compiled.partners.posggym_policies import partner_for
from posggym_compiled.processing import rescaling
from posggym_compiled.rollouts import Outcomes, Players, Seeds
from posggym_es.tasks.casting import casts
from posggym_es.tasks.family import RANDOM_POLICY
from posggym_es.tasks.partners import partner_pool
from posggym_es.tasks.posggym_envs import complete_env_args
from posggym_es.tasks.posggym_task import PosggymTask


def compiled_world(env_name: str, env_config: dict[str, Any]) -> World:
    """Return the compiled form of a POSGGym environment.

    Raises
    ------
    UnsupportedError
        If the environment, one of its arguments or one of its spaces is not supported.
    """
    world = world_for(env_name, **complete_env_args(env_name, env_config))
    for specs in (world.observations, world.actions):
        rescaling(specs)
    return world


def compiled_partners(world: World, partners: Partners) -> dict[str, Partner]:
    """Return the compiled forms of policies, keyed as in `PartnerPool`.

    Missing policy files are downloaded, and all are checked before they are loaded; see
    `posggym_es.models.model_downloads`.

    Raises
    ------
    UnsupportedError
        If a policy does not have a compiled form.
    ValueError
        If an id is not registered, or a policy file cannot be downloaded or read.
    """
    pool = partner_pool(world.agents, partners)
    forms: dict[str, Partner] = {
        name: opponent(
            policy.architecture, policy.folded_layers, policy.action.is_stochastic
        )
        for name, policy in pool.saved.items()
    }
    if RANDOM_POLICY in partners:
        forms[RANDOM_POLICY] = Uniform()
    registered = [name for name in partners if not is_saved(name) and name not in forms]
    if not registered:
        return forms
    # These import PyTorch, which takes seconds.
    import posggym.agents

    from posggym_es.models.model_downloads import ensure_model
    from posggym_es.models.posggym_model_file import read_model_file

    specs = {policy_id: posggym.agents.registry[policy_id] for policy_id in registered}
    for spec in specs.values():
        ensure_model(spec)
    return forms | {
        policy_id: partner_for(world, spec, read_model_file)
        for policy_id, spec in specs.items()
    }


def reason_against(
    env_name: str, env_config: dict[str, Any], partners: Partners = ()
) -> str | None:
    """Return why kernels cannot play an environment, or None if they can."""
    try:
        compiled_partners(compiled_world(env_name, env_config), partners)
    except UnsupportedError as error:
        return str(error)
    return None


class CompiledTask(PosggymTask):
    """A POSGGym environment that compiled kernels play, one call per batch of episodes.

    The environment behaves like POSGGym's own. Networks compute in a different order
    than NumPy, so outputs and fitnesses can differ in the last bits from those of
    `PosggymTask`.

    Parameters
    ----------
    env_name, env_config, options
        See `PosggymTask`.

    Raises
    ------
    ValueError
        See `PosggymTask`; also `UnsupportedError` if kernels cannot play it.
    """

    def __init__(
        self,
        env_name: str,
        env_config: dict[str, Any],
        options: TaskOptions,
    ) -> None:
        super().__init__(env_name, env_config, options)
        self._world = compiled_world(env_name, env_config)
        self._forms = compiled_partners(self._world, options.partners)
        self._ready: tuple[Architecture, Players] | None = None

    def play(self, batch: Batch) -> list[Rollout]:
        """Play the episodes of a batch, see `Task.play`."""
        seeds = np.array(batch.seeds, np.uint64)
        outcomes = self._players(batch).play(
            np.stack(batch.solutions),
            seeds,
            mean=batch.mean,
            stdev=batch.stdev,
            cast=self._players_of_agents(batch, seeds),
            max_steps=self._max_steps,
            decrease_rewards_by=self._decrease,
        )
        return rollouts_of(outcomes)

    def _players_of_agents(self, batch: Batch, seeds: Seeds) -> npt.NDArray[np.int64]:
        """Return the index of each agent's player, of shape (*seeds.shape, agents)."""
        if batch.others:
            names = list(batch.others)
            others = {agent: [agent] for agent in names}
            return casts(self._agents, seeds, self._role, others, names)
        candidates, names = self._partners.candidates, list(self._forms)
        return casts(self._agents, seeds, self._role, candidates, names)

    def _players(self, batch: Batch) -> Players:
        """Return the players; reused for all batches if there are no other networks."""
        own = compiled(batch.architecture)
        if batch.others:
            opponents = [
                opponent(
                    batch.architecture,
                    layers,
                    self._interfaces[i].action.is_stochastic,
                )
                for i, layers in batch.others.items()
            ]
            return self._make_players(own, opponents)
        if self._ready is None or self._ready[0] != batch.architecture:
            players = self._make_players(own, list(self._forms.values()))
            self._ready = batch.architecture, players
        return self._ready[1]

    def _make_players(
        self, own: networks.Architecture, partners: Sequence[Partner]
    ) -> Players:
        stochastic = self.action.is_stochastic
        return Players(self._world, own, partners, stochastic=stochastic)


def compiled(architecture: Architecture) -> networks.Architecture:
    """Convert an architecture to that of the kernels."""
    return networks.Architecture(**dataclasses.asdict(architecture))


def opponent(
    like: Architecture, layers: Sequence[Layer], stochastic: bool
) -> Opponent | SampledNetwork:
    """Return a network that plays with the learner, in the form that kernels use.

    Parameters
    ----------
    like
        Its architecture, except for the sizes of observations and outputs.
    layers
        Its layers, with the observation normalisation folded in.
    stochastic
        Whether it draws its actions.
    """
    architecture = dataclasses.replace(
        compiled(like),
        observation_size=layers[0][0].shape[1],
        output_size=len(layers[-1][-1]),
    )
    parameters: npt.NDArray[np.float64] = np.concatenate(
        [array.ravel() for layer in layers for array in layer]
    )
    return (SampledNetwork if stochastic else Opponent)(architecture, parameters)


def rollouts_of(outcomes: Outcomes) -> list[Rollout]:
    """Return one rollout per solution, over all of its episodes."""
    parts = zip(
        outcomes.fitness.mean(axis=1).tolist(),
        outcomes.steps.sum(axis=1).tolist(),
        outcomes.counts.tolist(),
        outcomes.sums,
        outcomes.sumsqs,
        strict=True,
    )
    return [
        Rollout(fitness, steps, RunningStat(count, total, squares))
        for fitness, steps, count, total, squares in parts
    ]
