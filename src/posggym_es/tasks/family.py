"""POSGGym's environments as a family of tasks, which pgpelib finds by its prefix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pgpelib.tasks.base import Task

POSGGYM_PREFIX = "posggym:"
"""What stands before a POSGGym id in a config; the entry point has the same name."""


def make_task(
    env_id: str,
    env_config: dict[str, Any],
    max_episode_length: int = -1,
    decrease_rewards_by: float = 0.0,
    role: str | None = None,
    partners: Sequence[str] = (),
    only_if_endless: bool = False,
    compiled: bool = False,
) -> Task:
    """Make the task of a POSGGym environment, see `PosggymTask`.

    Parameters
    ----------
    env_id
        POSGGym id, without prefix.
    env_config, max_episode_length, decrease_rewards_by, role, partners
        See `PosggymTask`.
    only_if_endless
        See `PosggymTask`.
    compiled
        Play with compiled kernels, see `CompiledTask`.

    Raises
    ------
    ValueError
        If the environment is unknown or cannot be used.
    """
    # Imported on demand: each takes seconds, and no process needs both.
    if compiled:
        from posggym_es.tasks import compiled_task

        make: Callable[..., Task] = compiled_task.CompiledTask
    else:
        from posggym_es.tasks import posggym_task

        make = posggym_task.PosggymTask
    return make(
        env_id,
        env_config,
        max_episode_length,
        decrease_rewards_by,
        role,
        partners,
        only_if_endless,
    )


def uncompiled_reason(
    env_id: str, env_config: dict[str, Any], partners: Sequence[str] = ()
) -> str | None:
    """Return why compiled kernels cannot play a task, or None if they can.

    Parameters
    ----------
    env_id, env_config, partners
        See `make_task`.

    Raises
    ------
    ValueError
        If the environment or an argument of it is unknown.
    """
    from posggym_es.tasks.compiled_task import reason_against

    return reason_against(env_id, env_config, partners)


def has_env(env_id: str) -> bool:
    """Return whether POSGGym has an environment of this id."""
    import posggym

    return env_id in posggym.envs.registry
