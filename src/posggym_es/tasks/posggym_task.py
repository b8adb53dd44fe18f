"""POSGGym environments as training tasks: self-play, several roles, best responses.

POSGGym's agents and processors import PyTorch, which takes seconds. They are imported
on first use; compiled tasks without partners never use them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from pgpelib.policies.networks import Array, Network
from pgpelib.policies.policy import ActionSpec, SavedPolicy
from pgpelib.tasks.base import (
    Episode,
    ObservationRecorder,
    Others,
    Rollout,
    Task,
    TaskOptions,
    episode_limit,
)
from pgpelib.tasks.gymnasium_task import action_spec, flat_size
from posggym_compiled.random.splitmix import policy_seed
from posggym_es.models.processors import RESCALE_CONFIG
from posggym_es.tasks.casting import cast
from posggym_es.tasks.partners import partner_pool
from posggym_es.tasks.posggym_envs import PosggymEpisodes, complete_env_args

if TYPE_CHECKING:
    from posggym.agents import Policy
    from posggym.agents.utils.processors import Processor


def derived_processor(space: spaces.Space[Any]) -> tuple[str, dict[str, Any]]:
    """Return the processor (name, config) for observations of a POSGGym space.

    Bounded one-dimensional Boxes are rescaled to [-1, 1], other one-dimensional Boxes
    are not changed, and all other spaces are flattened (with discrete parts one-hot).
    """
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        # Rescaling needs finite, distinct bounds in every dimension.
        width = space.high - space.low
        if (np.isfinite(width) & (width > 0)).all():
            return "RescaleProcessor", dict(RESCALE_CONFIG)
        return "IdentityProcessor", {}
    return "FlattenProcessor", {}


def derived_action_processor(
    space: spaces.Space[Any],
) -> tuple[str, dict[str, Any]]:
    """Return the processor (name, config) for a POSGGym action space.

    Discrete actions are not changed; for other spaces see `derived_processor`.
    """
    if isinstance(space, spaces.Discrete):
        return "IdentityProcessor", {}
    return derived_processor(space)


class _AgentInterface:
    """Converts an agent's observations for a network, and its outputs to actions."""

    def __init__(
        self,
        obs_space: spaces.Space[Any],
        act_space: spaces.Space[Any],
        env_name: str,
        stochastic: bool,
    ) -> None:
        self._spaces = obs_space, act_space
        self.obs_processor = derived_processor(obs_space)
        self.action_processor = derived_action_processor(act_space)
        # Processors do not change the flat size of observations.
        self.observation_size = flat_size(obs_space, env_name)
        processed = processed_space(self.action_processor, act_space)
        self.action: ActionSpec = action_spec(processed, env_name)
        if stochastic and self.action.n is not None:
            self.action = ActionSpec("categorical", n=self.action.n)

    @functools.cached_property
    def process(self) -> Processor:
        """Converts the agent's observations to those of a network."""
        return make_processor(self.obs_processor, self._spaces[0])

    @functools.cached_property
    def unprocess(self) -> Callable[[Any], Any]:
        """Converts actions of a network to those of the agent."""
        return make_processor(self.action_processor, self._spaces[1]).unprocess

    def check(self, policy: SavedPolicy, where: str) -> None:
        """Refuse a saved policy that does not fit the agent, as one of `where`."""
        own, others = (
            (
                each.observation_size,
                "box" if each.action.n is None else "discrete",
                each.action.output_size,
            )
            for each in (self, policy)
        )
        if own != others or policy.obs_processor[0] != self.obs_processor[0]:
            raise ValueError(
                "partners: a policy that was trained in "
                f"{policy.env_name.rpartition(':')[2]} does not fit {where}: it has "
                f"{others[0]} observations and {others[2]} {others[1]} actions, not "
                f"{own[0]} and {own[2]} {own[1]}"
            )

    def player(
        self, network: Network, action: ActionSpec, seed: int
    ) -> Callable[[Any], Any]:
        """Return a function from observations to actions that uses a network."""
        act, decode = network.start(), self.decoder(action, seed)
        return lambda observation: decode(act(self.process(observation)))

    def decoder(self, action: ActionSpec, seed: int) -> Callable[[Array], Any]:
        """Return a function from a network's outputs to actions.

        Parameters
        ----------
        action
            How outputs become actions.
        seed
            What actions are drawn with, if they are, see `policy_seed`.
        """
        rng = np.random.default_rng(seed) if action.is_stochastic else None
        return lambda outputs: self.unprocess(action.decode(outputs, rng))


class PosggymTask(Task):
    """A POSGGym environment for a learner, and the policies that play with it.

    Without a role and partners, one policy plays all agents of a symmetric environment
    (self-play).

    Parameters
    ----------
    env_name
        POSGGym id, e.g. "DrivingContinuous-v0".
    env_config
        Keyword arguments of `posggym.make`.
    options
        Options of the task. Agents other than `role` are played by the registered and
        saved policies in `partners`, which take turns from episode to episode or are
        drawn by their weights, or by the networks given to `rollout`.

    Raises
    ------
    ValueError
        If a space is not supported, an agent id or a partner is unknown, a saved
        partner does not fit the environment, the learner would have to play different
        kinds of agents, a stochastic one has continuous actions, or episodes have no
        limit.
    """

    def __init__(
        self,
        env_name: str,
        env_config: dict[str, Any],
        options: TaskOptions,
    ) -> None:
        role, partners = options.role, options.partners
        env_args = complete_env_args(env_name, env_config)
        self._make = functools.partial(
            PosggymEpisodes,
            env_name,
            env_args,
            endless_length=max(options.max_episode_length, 1),
        )
        self._episodes = [self._make()]
        self._recorders: list[ObservationRecorder] = []
        env = self._episodes[0].env
        self._agents = list(env.possible_agents)
        if role is None and not env.is_symmetric:
            raise ValueError(
                f"{env_name} is not symmetric, so one policy cannot play all its "
                f"agents; set roles: {self._agents}"
            )
        if role is not None and role not in self._agents:
            raise ValueError(
                f"{env_name} has no agent {role!r}; its agents are "
                f"{', '.join(self._agents)}"
            )
        self._role = role
        self._max_steps = episode_limit(
            env_name,
            self._episodes[0].endless,
            options.max_episode_length,
            options.only_if_endless,
        )
        self._decrease = options.decrease_rewards_by
        self._interfaces = {
            i: _AgentInterface(
                env.observation_spaces[i],
                env.action_spaces[i],
                env_name,
                options.stochastic,
            )
            for i in self._agents
        }
        own = self._interfaces[role if role is not None else self._agents[0]]
        self.obs_processor = own.obs_processor
        self.action_processor = own.action_processor
        self.observation_size = own.observation_size
        self.action = own.action
        if options.stochastic and not own.action.is_stochastic:
            raise ValueError(f"{env_name}: stochastic policies need discrete actions")
        self._partners = partner_pool(self._agents, partners)
        self._made: dict[tuple[int, str, str], Policy[Any, Any]] = {}
        self.lanes = 1 if role is not None or partners else len(self._agents)
        if partners:
            # Raises an error if there is an agent that no partner can play.
            for seed in range(len(self._agents)):
                cast(self._agents, seed, role, self._partners.candidates)
            for agent, names in self._partners.candidates.items():
                for name in self._partners.saved.keys() & set(names):
                    policy = self._partners.saved[name]
                    self._interfaces[agent].check(policy, f"{env_name}, agent {agent}")

    def episode(
        self,
        slot: int,
        seed: int,
        observations: Array,
        outputs: Array,
        others: Others | None = None,
    ) -> Episode:
        """Play one episode, see `Task.episode`."""
        while len(self._episodes) <= slot:
            self._episodes.append(self._make())
        while len(self._recorders) <= slot:
            self._recorders.append(ObservationRecorder(self.observation_size))
        recorder = self._recorders[slot]
        recorder.start()
        # First, because resetting seeds the action spaces, and random policies seed
        # them again.
        seen = self._episodes[slot].reset(seed)
        own, players = self._cast(slot, seed, others or {})
        decode = {
            i: self._interfaces[i].decoder(self.action, self._policy_seed(seed, i))
            for i in own
        }
        env = self._episodes[slot].env
        total, steps, done = 0.0, 0, False
        while not done:
            for i in env.agents:
                if i in own:
                    row = observations[own[i]]
                    row[:] = self._interfaces[i].process(seen[i])
                    recorder.add(row)
            yield
            actions = {
                i: decode[i](outputs[own[i]]) if i in own else players[i](seen[i])
                for i in env.agents
            }
            seen, rewards, _, _, all_done, _ = env.step(actions)
            mine = [rewards[i] for i in own if i in rewards]
            total += sum(mine) - self._decrease * len(mine)
            steps += 1
            done = all_done or steps == self._max_steps
        return Rollout(total / len(own), steps, recorder.stats())

    def _cast(
        self, slot: int, seed: int, others: Others
    ) -> tuple[dict[str, int], dict[str, Callable[[Any], Any]]]:
        """Return the lanes of the learner's agents, and functions for other agents."""
        if others:
            own = {str(self._role): 0}
            players = {}
            for i, network in others.items():
                side, own_seed = self._interfaces[i], self._policy_seed(seed, i)
                players[i] = side.player(network, side.action, own_seed)
            return own, players
        parts = cast(self._agents, seed, self._role, self._partners.candidates)
        mine = [i for i, part in parts.items() if part is None]
        players = {}
        for i, part in parts.items():
            if part is None:
                continue
            own_seed = self._policy_seed(seed, i)
            if part in self._partners.saved:
                saved = self._partners.saved[part]
                players[i] = self._interfaces[i].player(
                    saved.network(), saved.action, own_seed
                )
            else:
                policy = self._partner(slot, part, i)
                policy.reset(seed=own_seed)
                players[i] = policy.step
        return {i: lane for lane, i in enumerate(mine)}, players

    def _policy_seed(self, seed: int, agent: str) -> int:
        return policy_seed(seed, self._agents.index(agent))

    def _partner(self, slot: int, policy_id: str, agent: str) -> Policy[Any, Any]:
        import posggym.agents
        import torch

        from posggym_es.models.model_downloads import ensure_model

        key = slot, policy_id, agent
        if key not in self._made:
            # One thread per worker.
            torch.set_num_threads(1)
            model = self._episodes[slot].env.model
            ensure_model(posggym.agents.registry[policy_id])
            self._made[key] = posggym.agents.make(policy_id, model, agent)
        return self._made[key]


def processed_space(
    processor: tuple[str, dict[str, Any]], space: spaces.Space[Any]
) -> spaces.Space[Any]:
    """Return the space that a processor converts a space to, without PyTorch."""
    name, config = processor
    if name == "RescaleProcessor":
        assert isinstance(space, spaces.Box)
        low = np.full_like(space.low, config["min_val"])
        high = np.full_like(space.high, config["max_val"])
        return spaces.Box(low, high, dtype=low.dtype.type)
    return spaces.flatten_space(space) if name == "FlattenProcessor" else space


def make_processor(
    processor: tuple[str, dict[str, Any]], space: spaces.Space[Any]
) -> Processor:
    """Create POSGGym's processor with a given name and config, for a space."""
    from posggym.agents.utils import processors

    name, config = processor
    return getattr(processors, name)(space, **config)
