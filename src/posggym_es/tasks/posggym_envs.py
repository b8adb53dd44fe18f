"""Creating POSGGym environments.

This module is separate from the tasks because those use POSGGym's agents, whose import
of PyTorch takes seconds. Scripts that only need an environment avoid that.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import posggym
from posggym.wrappers import TimeLimit

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.utils.hints import did_you_mean


def env_arguments(env_id: str) -> dict[str, Any]:
    """Return the default arguments of a POSGGym environment, in signature order.

    Defaults that the environment was registered with take precedence over those of its
    constructor, as in `posggym.make`. Arguments without a default have the value
    `inspect.Parameter.empty`.

    Raises
    ------
    ValueError
        If the environment is unknown.
    """
    if env_id not in posggym.envs.registry:
        hint = did_you_mean(env_id, posggym.envs.registry)
        raise ValueError(f"unknown POSGGym environment {env_id!r}{hint}")
    spec = posggym.envs.registry[env_id]
    entry_point = spec.entry_point
    if isinstance(entry_point, str):
        module, _, name = entry_point.partition(":")
        entry_point = getattr(importlib.import_module(module), name)
    return {
        name: spec.kwargs.get(name, parameter.default)
        for name, parameter in inspect.signature(entry_point).parameters.items()
        if parameter.kind is not parameter.VAR_KEYWORD and name != "render_mode"
    }


def given_env_args(env_id: str, env_args: dict[str, Any]) -> dict[str, Any]:
    """Return given arguments in the environment's own order and types.

    YAML and JSON have no tuples, so lists become tuples if the default is a tuple.

    Raises
    ------
    ValueError
        If the environment or an argument is unknown.
    """
    defaults = env_arguments(env_id)
    unknown = [name for name in env_args if name not in defaults]
    if unknown:
        hints = [f"{name!r}{did_you_mean(name, defaults, repr)}" for name in unknown]
        raise ValueError(
            f"{env_id} has no argument {', '.join(hints)}; it has "
            f"{', '.join(defaults) or 'none'}"
        )
    return {
        name: tuple(value)
        if isinstance(default, tuple) and isinstance(value, list)
        else value
        for name, default in defaults.items()
        if name in env_args
        for value in [env_args[name]]
    }


# Maximum steps per episode if neither the environment nor the policy defines a limit.
ENDLESS_LENGTH = 1000


def endless_length_of(metadata: PolicyMetadata) -> int:
    """Return the maximum episode length in an environment without a time limit.

    Parameters
    ----------
    metadata
        Metadata of the policy, whose training setting is used if there is one.
    """
    return metadata.episode_limit or ENDLESS_LENGTH


def complete_env_args(env_id: str, env_args: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of a POSGGym environment, in its own order and types.

    This includes defaults, because policies depend on these just as much as on the
    given arguments.

    Raises
    ------
    ValueError
        If the environment or an argument is unknown.
    """
    given = given_env_args(env_id, env_args)
    return {
        name: given.get(name, default)
        for name, default in env_arguments(env_id).items()
        if name in given or default is not inspect.Parameter.empty
    }


def same_env_args(env_id: str, first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Return whether two sets of arguments define the same POSGGym environment.

    Missing arguments have their defaults. For arguments that are None, the values that
    the environment chooses are compared.
    """
    one, other = (complete_env_args(env_id, args) for args in (first, second))
    different = [name for name in one if one[name] != other[name]]
    if not all(None in (one[name], other[name]) for name in different):
        return False
    return not different or _chosen(env_id, one, different) == _chosen(
        env_id, other, different
    )


def _chosen(env_id: str, env_args: dict[str, Any], names: list[str]) -> list[Any]:
    """Return the values of some arguments that the environment's model uses."""
    env = posggym.make(env_id, disable_env_checker=True, **env_args)
    values = [getattr(env.model, name, env_args[name]) for name in names]
    env.close()
    return values


# Measured: when an environment of this family is reused, 10 of 15 episodes differ from
# those of a new one with the same seed and actions, because its physics engine keeps
# contacts. Other environments have no differences.
_HISTORY_DEPENDENT = "posggym.envs.continuous."


class PosggymEpisodes:
    """A POSGGym environment whose episodes depend only on their seed and actions.

    Environments that keep state across resets are recreated for each episode.

    Parameters
    ----------
    env_id
        POSGGym id.
    env_args
        Keyword arguments of `posggym.make`; None for the defaults.
    render_mode
        Render mode, as for `posggym.make`.
    endless_length
        Maximum steps per episode if the environment has no time limit.
    """

    def __init__(
        self,
        env_id: str,
        env_args: dict[str, Any] | None,
        render_mode: str | None = None,
        endless_length: int = ENDLESS_LENGTH,
    ) -> None:
        self._env_id = env_id
        self._endless_length = endless_length
        self._render_mode = render_mode
        self._env_args = env_args or {}
        entry_point = str(posggym.envs.registry[env_id].entry_point)
        self._renew = entry_point.startswith(_HISTORY_DEPENDENT)
        self.env: posggym.Env[Any, Any, Any] = self._make()

    def reset(self, seed: int) -> dict[str, Any]:
        """Start the episode of a seed, and return the first observations by agent id.

        This may replace `env` by a new environment.
        """
        if self._renew:
            self.env.close()
            self.env = self._make()
        return dict(self.env.reset(seed=seed)[0])

    @property
    def endless(self) -> bool:
        """Whether the environment has no time limit, so that episodes may never end."""
        if posggym.envs.registry[self._env_id].max_episode_steps is not None:
            return False
        # Gymnasium tasks have their own time limit.
        return getattr(self.env.model, "time_limit", None) is None

    def _make(self) -> posggym.Env[Any, Any, Any]:
        self.env = posggym.make(
            self._env_id,
            disable_env_checker=True,
            render_mode=self._render_mode,
            **self._env_args,
        )
        if self.endless:
            return TimeLimit(self.env, self._endless_length)
        return self.env
