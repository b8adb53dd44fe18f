"""Gymnasium tasks as POSGGym environments with one agent, "0".

Importing this package registers Gymnasium's own tasks, PyBullet's tasks and those of
this project with POSGGym, under their Gymnasium ids:

    import posggym, posggym_gymnasium
    env = posggym.make("HumanoidBulletEnv-v0")

or, without the import, ``posggym.make("posggym_gymnasium:HumanoidBulletEnv-v0")``.
Other keyword arguments of `posggym.make` are passed to `gymnasium.make`. Simulators are
imported only when an environment is created. `register` adds tasks of other packages.

If the installed posggym has agents for these tasks, they are registered, too. POSGGym
itself does not register them, because it cannot create their environments.

Not registered are ids that POSGGym already has, ids with a namespace such as
"phys2d/CartPole-v0" (POSGGym's policy ids cannot contain one, so it could not have
agents), and MuJoCo versions that need mujoco_py.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import gymnasium
import posggym
from posggym.envs import registry

from exact_gymnasium.ids import canonical_env_id, known_env_ids, require_known
from posggym_gymnasium.ids import ENV_TYPE

__all__ = ["ensure_registered", "is_gymnasium", "register"]

_ENTRY_POINT = "posggym_gymnasium.env:GymnasiumEnv"
# Measured: two new environments with the same seed differ in about 1 in 10 episodes.
_UNREPEATABLE = "HumanoidFlagrunHarderBulletEnv-v0"
_PROVIDERS = (
    "gymnasium.envs.",
    "pybullet_envs_gymnasium.",
    "tinytraj_humanoid_bullet:",
)


def register(env_id: str) -> str:
    """Register a Gymnasium task with POSGGym, unless it is already registered.

    Parameters
    ----------
    env_id
        Gymnasium id as in `exact_gymnasium.ids.canonical_env_id`.

    Returns
    -------
    str
        The POSGGym id, which is the canonical Gymnasium id without a module.

    Raises
    ------
    ValueError
        If Gymnasium does not know the id, if the id has a namespace, or if POSGGym has
        a different environment with that id.
    """
    gymnasium_id = require_known(env_id)
    posggym_id = gymnasium_id.rpartition(":")[2]
    if "/" in posggym_id:
        raise ValueError(
            f"{posggym_id!r} has a namespace, which POSGGym policy ids cannot contain"
        )
    kwargs = {"env_id": gymnasium_id}
    present = registry.get(posggym_id)
    if present is None:
        _add(posggym_id, kwargs)
    elif (present.entry_point, present.kwargs) != (_ENTRY_POINT, kwargs):
        raise ValueError(f"POSGGym has a different environment with id {posggym_id!r}")
    return posggym_id


def ensure_registered(env_id: str) -> str:
    """Register a task with POSGGym, unless POSGGym has an environment with its id.

    Parameters
    ----------
    env_id
        POSGGym id, or Gymnasium id as in `exact_gymnasium.ids.canonical_env_id`.

    Returns
    -------
    str
        The POSGGym id of the environment.

    Raises
    ------
    ValueError
        If neither POSGGym nor Gymnasium knows the id, or if it has a namespace.
    """
    posggym_id = canonical_env_id(env_id)
    return posggym_id if posggym_id in registry else register(env_id)


def is_gymnasium(posggym_id: str) -> bool:
    """Return whether a POSGGym id is that of a Gymnasium task registered here."""
    spec = registry.get(posggym_id)
    return spec is not None and spec.entry_point == _ENTRY_POINT


def _add(posggym_id: str, kwargs: dict[str, str]) -> None:
    spec = gymnasium.registry.get(posggym_id)
    posggym.register(
        id=posggym_id,
        entry_point=_ENTRY_POINT,
        nondeterministic=posggym_id == _UNREPEATABLE
        or (spec is not None and spec.nondeterministic),
        # max_episode_steps stays None: Gymnasium's own time limit truncates.
        kwargs=kwargs,
    )


def _is_shipped(env_id: str) -> bool:
    if env_id not in gymnasium.registry:
        return True  # this project's own, registered with Gymnasium on creation
    return str(gymnasium.registry[env_id].entry_point).startswith(_PROVIDERS)


def _register_agents() -> None:
    """Register the agents in `posggym.agents.gymnasium`, if it exists.

    `posggym.agents` imports PyTorch, which takes seconds, so it is only imported if
    needed.
    """
    package = f"posggym.agents.{ENV_TYPE}"
    folder = Path(posggym.__file__).parent / "agents" / ENV_TYPE
    for module in pkgutil.iter_modules([str(folder)]):
        specs = importlib.import_module(f"{package}.{module.name}").policy_specs
        for spec in specs.values():
            importlib.import_module("posggym.agents").register_spec(spec)


for _id in known_env_ids():
    if (
        _is_shipped(_id)
        and "/" not in _id
        and canonical_env_id(_id) == _id
        and _id not in registry
    ):
        _add(_id, {"env_id": _id})

_register_agents()
