"""POSGGym environments as training tasks, in self-play."""

from __future__ import annotations

import difflib
from typing import Any

import numpy as np
import posggym
from gymnasium import spaces
from posggym.agents.utils import processors

from pgpelib.policies import ActionSpec
from pgpelib.tasks.base import Network, ObservationRecorder, Rollout
from pgpelib.tasks.gymnasium_task import action_spec, flat_size

# Trained networks see observations and give actions in this range.
RESCALE_CONFIG: dict[str, Any] = {"min_val": -1.0, "max_val": 1.0, "clip": True}


def derived_processor(space: spaces.Space[Any]) -> tuple[str, dict[str, Any]]:
    """Return the processor (name, config) that suits a space of POSGGym.

    Bounded one-dimensional Boxes are rescaled to [-1, 1], other one-dimensional Boxes
    and discrete actions are left as they are, and everything else is flattened
    (discrete parts one-hot).
    """
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        # A rescaling needs two finite, different bounds in every dimension.
        width = space.high - space.low
        if (np.isfinite(width) & (width > 0)).all():
            return "RescaleProcessor", dict(RESCALE_CONFIG)
        return "IdentityProcessor", {}
    return "FlattenProcessor", {}


def derived_action_processor(
    space: spaces.Space[Any],
) -> tuple[str, dict[str, Any]]:
    """Return the processor (name, config) that suits an action space of POSGGym."""
    if isinstance(space, spaces.Discrete):
        return "IdentityProcessor", {}
    return derived_processor(space)


def complete_env_args(env_id: str, env_args: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of a POSGGym environment, in its own order and types.

    Policies depend on arguments that are left at their defaults as much as on those
    that are given. YAML and JSON have no tuples, so lists become tuples where the
    default is one.

    Raises
    ------
    ValueError
        If the environment or an argument of it is unknown.
    """
    if env_id not in posggym.envs.registry:
        close = difflib.get_close_matches(env_id, posggym.envs.registry, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f"unknown POSGGym environment {env_id!r}{hint}")
    defaults = posggym.envs.registry[env_id].kwargs
    unknown = sorted(set(env_args) - set(defaults))
    if unknown:
        raise ValueError(
            f"{env_id} has no arguments {', '.join(unknown)}; it has "
            f"{', '.join(defaults)}"
        )
    return {
        name: tuple(value)
        if isinstance(default, tuple) and isinstance(value, list)
        else value
        for name, default in defaults.items()
        for value in [env_args.get(name, default)]
    }


# Measured: on a used environment of this family 10 of 15 episodes differ from those of
# a new one with the same seed and actions (its physics engine keeps its contacts); on
# all others none does.
_HISTORY_DEPENDENT = "posggym.envs.continuous."


class PosggymEpisodes:
    """A POSGGym environment whose episodes depend on their seed and actions alone.

    Environments that keep something across resets are made anew for each episode.

    Parameters
    ----------
    env_id
        POSGGym id.
    env_args
        Keyword arguments of `posggym.make`; None for the defaults.
    """

    def __init__(self, env_id: str, env_args: dict[str, Any] | None) -> None:
        self._env_id = env_id
        self._env_args = env_args or {}
        entry_point = str(posggym.envs.registry[env_id].entry_point)
        self._renew = entry_point.startswith(_HISTORY_DEPENDENT)
        self.env: posggym.Env[Any, Any, Any] = self._make()

    def reset(self, seed: int) -> dict[str, Any]:
        """Begin the episode of a seed and return the first observations.

        `env` may be another environment afterwards.
        """
        if self._renew:
            self.env.close()
            self.env = self._make()
        return dict(self.env.reset(seed=seed)[0])

    def _make(self) -> posggym.Env[Any, Any, Any]:
        return posggym.make(self._env_id, disable_env_checker=True, **self._env_args)


class PosggymTask:
    """All agents of a symmetric POSGGym environment, driven by one policy.

    Parameters
    ----------
    env_name
        POSGGym id, e.g. "DrivingContinuous-v0".
    env_config
        Keyword arguments of `posggym.make`.
    max_episode_length
        Stop an episode after this many steps; -1 for the environment's own limit.
    decrease_rewards_by
        Subtracted from every agent's reward of every step.

    Raises
    ------
    ValueError
        If the environment is not symmetric or a space cannot be represented.
    """

    def __init__(
        self,
        env_name: str,
        env_config: dict[str, Any],
        max_episode_length: int = -1,
        decrease_rewards_by: float = 0.0,
    ) -> None:
        self._episodes = PosggymEpisodes(
            env_name, complete_env_args(env_name, env_config)
        )
        env = self._episodes.env
        if not env.is_symmetric:
            raise ValueError(
                f"{env_name}: not symmetric, so one policy cannot play all its agents"
            )
        self._max_steps = max_episode_length if max_episode_length > 0 else None
        self._decrease = decrease_rewards_by
        agents = env.possible_agents
        obs_space = env.observation_spaces[agents[0]]
        act_space = env.action_spaces[agents[0]]
        flat_size(obs_space, env_name)
        self.obs_processor = derived_processor(obs_space)
        self.action_processor = derived_action_processor(act_space)
        self._obs_processors = {
            i: make_processor(self.obs_processor, env.observation_spaces[i])
            for i in agents
        }
        self._action_processors = {
            i: make_processor(self.action_processor, env.action_spaces[i])
            for i in agents
        }
        processed = self._obs_processors[agents[0]].get_processed_space()
        self.observation_size = flat_size(processed, env_name)
        self.action: ActionSpec = action_spec(
            self._action_processors[agents[0]].get_processed_space(), env_name
        )
        self._recorder = ObservationRecorder(self.observation_size)

    def rollout(self, network: Network, seed: int) -> Rollout:
        """Play one episode; a function of the network and the seed alone."""
        recorder, decode = self._recorder, self.action.decode
        obs_processors, action_processors = (
            self._obs_processors,
            self._action_processors,
        )
        recorder.start()
        total, steps, done = 0.0, 0, False
        observations = self._episodes.reset(seed)
        env = self._episodes.env
        while not done:
            actions = {}
            for i in env.agents:
                row = recorder.add(obs_processors[i](observations[i]))
                actions[i] = action_processors[i].unprocess(decode(network(row)))
            observations, rewards, _, _, all_done, _ = env.step(actions)
            total += sum(rewards.values()) - self._decrease * len(rewards)
            steps += 1
            done = all_done or steps == self._max_steps
        return Rollout(total / len(env.possible_agents), steps, recorder.stats())


def make_processor(
    processor: tuple[str, dict[str, Any]], space: spaces.Space[Any]
) -> processors.Processor:
    """Return POSGGym's own processor of that name and config for a space."""
    name, config = processor
    return getattr(processors, name)(space, **config)
