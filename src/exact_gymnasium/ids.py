"""Parsing, correcting and making Gymnasium ids.

This module imports only the standard library; its functions import Gymnasium and the
simulators when they need them.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import gymnasium

# Modules that users put in front of an id to register it. `make_gymnasium` knows what
# to import, so the id alone is sufficient.
_DROPPED_MODULES = frozenset(
    {
        "gym",
        "gymnasium",
        "posggym_gymnasium",
        "pybullet_envs",
        "pybullet_envs_gymnasium",
        "tinytraj_humanoid_bullet",
    }
)

# v2 and v3 need mujoco_py, which can no longer be installed.
_OLD_MUJOCO_RE = re.compile(
    r"(Ant|HalfCheetah|Hopper|Humanoid|HumanoidStandup|InvertedDoublePendulum"
    r"|InvertedPendulum|Pusher|Reacher|Swimmer|Walker2d)-v[23]"
)

_TINYTRAJ_ID = "TinyTrajHumanoidBulletEnv-v0"

# What pybullet_envs_gymnasium registers, so that without it the ids are known, and
# errors can say what to install.
_PYBULLET_TASKS = (
    *("Ant", "HalfCheetah", "Hopper", "Humanoid", "HumanoidFlagrun"),
    *("HumanoidFlagrunHarder", "InvertedDoublePendulum", "InvertedPendulum"),
    *("InvertedPendulumSwingup", "Pusher", "Reacher", "Thrower", "Walker2D"),
)
PYBULLET_IDS = frozenset(f"{task}BulletEnv-v0" for task in _PYBULLET_TASKS)


class _Simulator(NamedTuple):
    name: str
    extra: str
    modules: tuple[str, ...]


_PYBULLET = _Simulator("PyBullet", "pybullet", ("pybullet", "pybullet_envs_gymnasium"))
# By the module that has Gymnasium's environments; its MuJoCo ones import imageio.
_SIMULATORS = {
    "gymnasium.envs.box2d": _Simulator("Box2D", "box2d", ("Box2D",)),
    "gymnasium.envs.mujoco": _Simulator("MuJoCo", "mujoco", ("mujoco", "imageio")),
}


def canonical_env_id(name: str) -> str:
    """Translate an old spelling of an environment id to the current Gymnasium id.

    Prefixes of known modules are removed, and `v2` and `v3` of MuJoCo tasks are
    replaced by `v4`, which uses other bindings of MuJoCo, so scores are not exactly
    comparable.

    Parameters
    ----------
    name
        Gymnasium id, with or without the module that registers it, such as
        "pybullet_envs:HumanoidBulletEnv-v0" or "Humanoid-v2".

    Returns
    -------
    str
        The current id. Other ids, such as "my_module:MyEnv-v0", are returned unchanged.
        The translation is idempotent.
    """
    module, _, env_id = name.rpartition(":")
    if module and module not in _DROPPED_MODULES:
        return name
    match = _OLD_MUJOCO_RE.fullmatch(env_id)
    return f"{match[1]}-v4" if match else env_id


def known_env_ids() -> list[str]:
    """Return the ids that `make_gymnasium` accepts without a module prefix.

    This does not import any simulator.

    Returns
    -------
    list of str
        Sorted ids of all environments registered with Gymnasium so far, of PyBullet's
        tasks and of this project's own, whether or not their simulator is installed.
    """
    import gymnasium

    # Only registers ids; pybullet itself is imported when a task is created.
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("pybullet_envs_gymnasium")
    return sorted({*gymnasium.registry, *PYBULLET_IDS, _TINYTRAJ_ID})


def require_known(name: str) -> str:
    """Return the canonical id of a registered environment.

    Parameters
    ----------
    name
        Gymnasium id as in `canonical_env_id`. A module that remains in front of the
        canonical id is imported, as Gymnasium does.

    Returns
    -------
    str
        The canonical id, with its module prefix if that is not a known one.

    Raises
    ------
    ValueError
        If the id is not registered; the message suggests the closest known ids.
    """
    env_id = canonical_env_id(name)
    module, _, bare_id = env_id.rpartition(":")
    reason = ""
    if module:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            # A missing dependency of an existing module is a different error.
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise
            reason = f": there is no module {module!r}"
    known = known_env_ids()
    if bare_id in known and not reason:
        return env_id
    close = difflib.get_close_matches(bare_id, known, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    raise ValueError(f"unknown Gymnasium environment {name!r}{reason}{hint}")


def make_gymnasium(name: str, **env_config: Any) -> gymnasium.Env:
    """Make a Gymnasium environment, after importing the module that registers it.

    Parameters
    ----------
    name
        Gymnasium id as in `canonical_env_id`.
    **env_config
        Keyword arguments of `gymnasium.make` and of the environment, such as
        ``render_mode``.

    Returns
    -------
    gymnasium.Env
        The environment with Gymnasium's wrappers, including its time limit, except for
        the passive checker, which takes time and does not affect results.

    Raises
    ------
    ValueError
        If the id is unknown; the message suggests the closest known ids.
    gymnasium.error.DependencyNotInstalled
        If the simulator of the environment is not installed; the message has the line
        that installs it.
    """
    import gymnasium

    env_id = require_known(name)
    _require_simulator(env_id)
    if env_id == _TINYTRAJ_ID:
        importlib.import_module("tinytraj_humanoid_bullet")
    return gymnasium.make(env_id, disable_env_checker=True, **env_config)


def _require_simulator(env_id: str) -> None:
    """Raise an error if the simulator of a known environment is not installed."""
    import gymnasium

    if env_id in PYBULLET_IDS or env_id == _TINYTRAJ_ID:
        simulator = _PYBULLET
    else:
        spec = gymnasium.registry.get(env_id.rpartition(":")[2])
        package = ".".join(str(spec and spec.entry_point).split(".")[:3])
        if package not in _SIMULATORS:
            return
        simulator = _SIMULATORS[package]
    if any(importlib.util.find_spec(module) is None for module in simulator.modules):
        raise gymnasium.error.DependencyNotInstalled(
            f"{env_id} needs {simulator.name}; install it with: "
            f"pip install 'posggym-es[{simulator.extra}]'"
        )
