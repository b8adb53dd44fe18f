"""From an environment name in a config to a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from exact_gymnasium.ids import canonical_env_id
from pgpelib.tasks.base import Task

POSGGYM_PREFIX = "posggym:"

# Training environments that only change the reward or the length of another one.
_STANDARD_ENVS = {"TinyTrajHumanoidBulletEnv-v0": "HumanoidBulletEnv-v0"}


def standard_env_name(env_name: str) -> str:
    """Return the environment that policies trained in `env_name` are judged in.

    That is the environment itself, except for those that only serve training.
    """
    return _STANDARD_ENVS.get(canonical_env_id(env_name), env_name)


def make_task(
    env_name: str,
    env_config: dict[str, Any],
    max_episode_length: int = -1,
    decrease_rewards_by: float = 0.0,
    role: str | None = None,
    partners: Sequence[str] = (),
    only_if_endless: bool = False,
    compiled: bool = False,
) -> Task:
    """Make the task of an environment.

    Parameters
    ----------
    env_name
        A Gymnasium id, or "posggym:" and a POSGGym id.
    env_config, max_episode_length, decrease_rewards_by
        See `GymnasiumTask` and `PosggymTask`.
    role, partners
        See `PosggymTask`.
    only_if_endless
        Use `max_episode_length` only if the environment has no time limit, as
        re-evaluations do.
    compiled
        Play with compiled kernels; `uncompiled_reason` says whether they can.

    Raises
    ------
    ValueError
        If the environment is unknown or cannot be used.
    """
    # Imported on demand: a worker of one suite does not pay for the other's packages.
    if compiled:
        from posggym_es.tasks.compiled_task import CompiledTask

        return CompiledTask(
            env_name.removeprefix(POSGGYM_PREFIX),
            env_config,
            max_episode_length,
            decrease_rewards_by,
            role,
            only_if_endless,
        )
    if env_name.startswith(POSGGYM_PREFIX):
        from posggym_es.tasks.posggym_task import PosggymTask

        return PosggymTask(
            env_name.removeprefix(POSGGYM_PREFIX),
            env_config,
            max_episode_length,
            decrease_rewards_by,
            role,
            partners,
            only_if_endless,
        )
    if role is not None or partners:
        raise ValueError(
            f"{env_name}: roles and partners are for POSGGym environments "
            f"({POSGGYM_PREFIX}...)"
        )
    from pgpelib.tasks.gymnasium_task import GymnasiumTask

    return GymnasiumTask(
        env_name,
        env_config,
        max_episode_length,
        decrease_rewards_by,
        only_if_endless,
    )


def uncompiled_reason(
    env_name: str, env_config: dict[str, Any], partners: Sequence[str] = ()
) -> str | None:
    """Return why compiled kernels cannot play a task, or None if they can.

    Parameters
    ----------
    env_name, env_config, partners
        See `make_task`.

    Raises
    ------
    ValueError
        If the environment or an argument of it is unknown.
    """
    if not env_name.startswith(POSGGYM_PREFIX):
        return f"{env_name}: only POSGGym environments are compiled"
    if partners:
        return f"{env_name}: partners are not compiled"
    from posggym_es.tasks.compiled_task import reason_against

    return reason_against(env_name.removeprefix(POSGGYM_PREFIX), env_config)
