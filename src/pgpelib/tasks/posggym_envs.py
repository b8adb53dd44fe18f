"""Making POSGGym environments.

Apart from the tasks, because everything about POSGGym's agents imports PyTorch, which
takes seconds of each script that only needs to know an environment.
"""

from __future__ import annotations

from typing import Any

import posggym
from posggym.wrappers import TimeLimit

from pgpelib.hints import did_you_mean
from pgpelib.plain_data import is_integer


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
        hint = did_you_mean(env_id, posggym.envs.registry)
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


# Steps of an episode where neither the environment nor anybody else has a limit.
ENDLESS_LENGTH = 1000


def endless_length_of(notes: dict[str, Any]) -> int:
    """Return a policy's episode length in an environment without a time limit.

    Parameters
    ----------
    notes
        Notes of the policy: the trainer's setting counts, if it had one.
    """
    length = (notes.get("config") or {}).get("max_episode_length")
    return length if is_integer(length) and length > 0 else ENDLESS_LENGTH


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
