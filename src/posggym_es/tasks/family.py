"""The family of POSGGym's environments, which pgpelib finds by its prefix."""

from __future__ import annotations

from typing import Any

from pgpelib.policies.partners import Partners
from pgpelib.tasks.base import Task, TaskOptions

POSGGYM_PREFIX = "posggym:"
"""Prefix of POSGGym ids in configs; the entry point has the same name."""
RANDOM_POLICY = "Random-v0"
"""The policy that POSGGym registers for every environment."""


def make_task(
    env_id: str, env_config: dict[str, Any], options: TaskOptions, compiled: bool
) -> Task:
    """Create the task of a POSGGym environment.

    Parameters
    ----------
    env_id
        POSGGym id, without the prefix.
    env_config, options
        See `PosggymTask`.
    compiled
        Whether to play with compiled kernels, see `CompiledTask`.

    Raises
    ------
    ValueError
        If the environment is unknown or not supported.
    """
    # Imported on demand: each takes seconds, and no process needs both.
    if compiled:
        from posggym_es.tasks.compiled_task import CompiledTask

        return CompiledTask(env_id, env_config, options)
    from posggym_es.tasks.posggym_task import PosggymTask

    return PosggymTask(env_id, env_config, options)


def uncompiled_reason(
    env_id: str, env_config: dict[str, Any], partners: Partners = ()
) -> str | None:
    """Return why compiled kernels cannot play a task, or None if they can.

    Parameters
    ----------
    env_id, env_config
        See `make_task`.
    partners
        See `TaskOptions`.

    Raises
    ------
    ValueError
        If the environment or one of its arguments is unknown.
    """
    from posggym_es.tasks.compiled_task import reason_against

    return reason_against(env_id, env_config, partners)


def has_env(env_id: str) -> bool:
    """Return whether POSGGym has an environment with this id."""
    import posggym

    return env_id in posggym.envs.registry
