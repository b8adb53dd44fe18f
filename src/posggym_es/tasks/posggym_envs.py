"""Making POSGGym environments.

Apart from the tasks, because everything about POSGGym's agents imports PyTorch, which
takes seconds of each script that only needs to know an environment.
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
    """Return the arguments of a POSGGym environment's constructor and their defaults.

    In the order of its signature. `posggym.make` passes the defaults that the
    environment was registered with, which may differ from the constructor's own.

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

    YAML and JSON have no tuples, so lists become tuples where the default is one.

    Raises
    ------
    ValueError
        If the environment or an argument of it is unknown.
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


# Steps of an episode where neither the environment nor anybody else has a limit.
ENDLESS_LENGTH = 1000


def endless_length_of(metadata: PolicyMetadata) -> int:
    """Return a policy's episode length in an environment without a time limit.

    Parameters
    ----------
    metadata
        Of the policy: the trainer's setting counts, if it had one.
    """
    return metadata.episode_limit or ENDLESS_LENGTH


def complete_env_args(env_id: str, env_args: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of a POSGGym environment, in its own order and types.

    Policies depend on arguments that are left at their defaults as much as on those
    that are given.

    Raises
    ------
    ValueError
        If the environment or an argument of it is unknown.
    """
    given = given_env_args(env_id, env_args)
    return {
        name: given.get(name, default)
        for name, default in env_arguments(env_id).items()
        if name in given or default is not inspect.Parameter.empty
    }


def same_env_args(env_id: str, first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Return whether two sets of arguments make the same POSGGym environment.

    Arguments that are left out have their defaults. Where one is None, the environment
    chooses a value itself, and that is compared.
    """
    one, other = (complete_env_args(env_id, args) for args in (first, second))
    different = [name for name in one if one[name] != other[name]]
    if not all(None in (one[name], other[name]) for name in different):
        return False
    return not different or _chosen(env_id, one, different) == _chosen(
        env_id, other, different
    )


def _chosen(env_id: str, env_args: dict[str, Any], names: list[str]) -> list[Any]:
    """Return the values of arguments that a model works with."""
    env = posggym.make(env_id, disable_env_checker=True, **env_args)
    values = [getattr(env.model, name, env_args[name]) for name in names]
    env.close()
    return values


# Measured: on a used environment of this family 10 of 15 episodes differ from those of
# a new one with the same seed and actions (its physics engine keeps its contacts); on
# all others none does.
_HISTORY_DEPENDENT = "posggym.envs.continuous."


class PosggymEpisodes:
    """A POSGGym environment whose episodes depend on their seed and actions alone.

    Environments that keep something across resets are made again for each episode.

    Parameters
    ----------
    env_id
        POSGGym id.
    env_args
        Keyword arguments of `posggym.make`; None for the defaults.
    render_mode
        What `env.render()` gives, as for `posggym.make`.
    endless_length
        Steps after which an episode is stopped if the environment has no time limit.
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
        """Begin the episode of a seed and return the first observations.

        `env` may be another environment afterwards.
        """
        if self._renew:
            self.env.close()
            self.env = self._make()
        return dict(self.env.reset(seed=seed)[0])

    @property
    def endless(self) -> bool:
        """Whether the environment has no time limit, so that episodes may not end."""
        if posggym.envs.registry[self._env_id].max_episode_steps is not None:
            return False
        # A Gymnasium task has its own.
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
