"""Creating tasks by the names of their environments."""

from __future__ import annotations

import importlib.metadata
from functools import cache
from typing import Any, Protocol

from exact_gymnasium.ids import canonical_env_id, require_known
from pgpelib.policies.partners import Partners
from pgpelib.tasks.base import Task, TaskOptions

FAMILIES = "pgpelib.tasks"
"""Entry point group of packages that add environments of other suites.

The name of an entry point is the prefix of environment names in the config, as in
"posggym:Driving-v1"; it loads a `TaskFamily`.
"""

# Training environments that only change the reward or the length of another one.
_STANDARD_ENVS = {"TinyTrajHumanoidBulletEnv-v0": "HumanoidBulletEnv-v0"}


def standard_env_name(env_name: str) -> str:
    """Return the environment that policies trained in `env_name` are evaluated in.

    This is the environment itself, unless it is a variant that exists only for
    training.
    """
    return _STANDARD_ENVS.get(canonical_env_id(env_name), env_name)


class TaskFamily(Protocol):
    """The environments of one suite; implemented by a module or an object."""

    def make_task(
        self,
        env_id: str,
        env_config: dict[str, Any],
        options: TaskOptions,
        compiled: bool,
    ) -> Task:
        """Create the task of an environment; for `compiled` see `make_task`."""

    def uncompiled_reason(
        self, env_id: str, env_config: dict[str, Any], partners: Partners = ()
    ) -> str | None:
        """Return why compiled kernels cannot play a task, or None if they can."""

    def has_env(self, env_id: str) -> bool:
        """Return whether the family has an environment with this id."""


@cache
def _families() -> dict[str, importlib.metadata.EntryPoint]:
    return {
        point.name: point for point in importlib.metadata.entry_points(group=FAMILIES)
    }


def family_of(env_name: str) -> TaskFamily | None:
    """Return the family that an environment's prefix names; None for Gymnasium ids."""
    point = _families().get(env_name.partition(":")[0])
    if point is None or ":" not in env_name:
        return None
    family: TaskFamily = point.load()
    return family


def require_known_env(env_name: str) -> str:
    """Return the canonical id of a Gymnasium environment.

    Raises
    ------
    ValueError
        If Gymnasium has no such environment; the message suggests close ids, or the
        family that has it.
    """
    try:
        return require_known(env_name)
    except ValueError as error:
        for prefix, point in _families().items():
            if point.load().has_env(env_name):
                raise ValueError(
                    f"unknown Gymnasium environment {env_name!r}; "
                    f"did you mean {prefix}:{env_name}?"
                ) from error
        raise


def make_task(
    env_name: str,
    env_config: dict[str, Any],
    max_episode_length: int = -1,
    decrease_rewards_by: float = 0.0,
    role: str | None = None,
    partners: Partners = (),
    only_if_endless: bool = False,
    compiled: bool = False,
    stochastic: bool = False,
) -> Task:
    """Create the task of an environment.

    Parameters
    ----------
    env_name
        A Gymnasium id, or an id with the prefix of its family, such as
        "posggym:Driving-v1".
    env_config
        Keyword arguments of the environment.
    max_episode_length, decrease_rewards_by, role, partners, only_if_endless
        See `TaskOptions`.
    compiled
        Whether to play with compiled kernels; only if `uncompiled_reason` is None.
    stochastic
        See `TaskOptions`.

    Raises
    ------
    ValueError
        If the environment is unknown or not supported.
    """
    family = family_of(env_name)
    if family is not None:
        options = TaskOptions(
            max_episode_length,
            decrease_rewards_by,
            role,
            partners,
            only_if_endless,
            stochastic,
        )
        env_id = env_name.partition(":")[2]
        return family.make_task(env_id, env_config, options, compiled)
    known = " or ".join(f"{prefix}:..." for prefix in sorted(_families()))
    if stochastic:
        raise ValueError(f"{env_name}: stochastic policies play only in {known}")
    if role is not None or partners:
        raise ValueError(
            f"{env_name}: roles and partners need an environment with several agents "
            f"({known})"
        )
    # Imported on demand, so that workers load only the packages that they use.
    from pgpelib.tasks.gymnasium_task import GymnasiumTask

    return GymnasiumTask(
        require_known_env(env_name),
        env_config,
        max_episode_length,
        decrease_rewards_by,
        only_if_endless,
    )


def uncompiled_reason(
    env_name: str, env_config: dict[str, Any], partners: Partners = ()
) -> str | None:
    """Return why compiled kernels cannot play a task, or None if they can.

    Parameters
    ----------
    env_name, env_config, partners
        See `make_task`.

    Raises
    ------
    ValueError
        If the environment or one of its arguments is unknown.
    """
    family = family_of(env_name)
    if family is None:
        return f"{env_name}: Gymnasium environments are not compiled"
    return family.uncompiled_reason(env_name.partition(":")[2], env_config, partners)
