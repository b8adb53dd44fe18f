"""Gymnasium tasks as POSGGym environments with one agent, "0".

Importing this package registers with POSGGym, under their Gymnasium ids, the tasks that
come with Gymnasium, PyBullet's and this project's own:

    import posggym, posggym_gymnasium
    env = posggym.make("HumanoidBulletEnv-v0")

or, without the import, ``posggym.make("posggym_gymnasium:HumanoidBulletEnv-v0")``.
Further keyword arguments of `posggym.make` go to `gymnasium.make`. No simulator is
imported before an environment is made. `register` adds tasks of other packages.

Agents of these tasks, in a posggym that has some, are registered along with them.
POSGGym alone leaves them out, as it could not make their environments.

Left out are ids that POSGGym has already (it never gets overridden), ids with a
namespace such as "phys2d/CartPole-v0" (POSGGym's grammar of policy ids has no place for
one, so no agent could be registered for it), and MuJoCo versions that need mujoco_py.
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
# Measured: two new environments of one seed differ in about one in ten episodes.
_UNREPEATABLE = "HumanoidFlagrunHarderBulletEnv-v0"
_PROVIDERS = (
    "gymnasium.envs.",
    "pybullet_envs_gymnasium.",
    "tinytraj_humanoid_bullet:",
)


def register(env_id: str) -> str:
    """Register a Gymnasium task with POSGGym; once more does nothing.

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
        another environment of that id.
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
        raise ValueError(f"POSGGym has another environment of id {posggym_id!r}")
    return posggym_id


def ensure_registered(env_id: str) -> str:
    """Make sure that POSGGym has an environment, its own or a Gymnasium task.

    Parameters
    ----------
    env_id
        POSGGym id, or Gymnasium id as in `exact_gymnasium.ids.canonical_env_id`.

    Returns
    -------
    str
        The id under which POSGGym has it.

    Raises
    ------
    ValueError
        If neither POSGGym nor Gymnasium knows the id, or if it has a namespace.
    """
    posggym_id = canonical_env_id(env_id)
    return posggym_id if posggym_id in registry else register(env_id)


def is_gymnasium(posggym_id: str) -> bool:
    """Return whether POSGGym has an environment of this id that was registered here."""
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
        return True  # this project's own, registered with Gymnasium when it is made
    return str(gymnasium.registry[env_id].entry_point).startswith(_PROVIDERS)


def _register_agents() -> None:
    """Register the agents that `posggym.agents.gymnasium` has, if there is one.

    Only then is `posggym.agents` imported: it imports PyTorch, which takes seconds.
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
