"""Gymnasium ids: the one place that reads, repairs and makes them.

The module itself needs the standard library only: Gymnasium and the simulators are
imported by the functions that use them.
"""

from __future__ import annotations

import difflib
import importlib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import gymnasium

# Modules that people put in front of an id so that it gets registered.
# `make_gymnasium` knows what to import, so the id alone is enough.
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

# v2 and v3 need mujoco_py, which nobody can install any more.
_OLD_MUJOCO_RE = re.compile(
    r"(Ant|HalfCheetah|Hopper|Humanoid|HumanoidStandup|InvertedDoublePendulum"
    r"|InvertedPendulum|Pusher|Reacher|Swimmer|Walker2d)-v[23]"
)

_TINYTRAJ_ID = "TinyTrajHumanoidBulletEnv-v0"


def canonical_env_id(name: str) -> str:
    """Translate an environment id written the old way to today's Gymnasium id.

    The prefix of a module known here is dropped, and MuJoCo tasks move from `v2` and
    `v3` to `v4`. `v4` runs on other bindings of MuJoCo, so scores of old versions do
    not carry over exactly.

    Parameters
    ----------
    name
        Gymnasium id, with or without the module that registers it, such as
        "pybullet_envs:HumanoidBulletEnv-v0" or "Humanoid-v2".

    Returns
    -------
    str
        The id without a known module. Anything that is not understood, such as
        "my_module:MyEnv-v0", comes back unchanged; translating twice changes nothing.
    """
    module, _, env_id = name.rpartition(":")
    if module and module not in _DROPPED_MODULES:
        return name
    match = _OLD_MUJOCO_RE.fullmatch(env_id)
    return f"{match[1]}-v4" if match else env_id


def known_env_ids() -> list[str]:
    """List the ids that `make_gymnasium` can name without a module prefix.

    Returns
    -------
    list of str
        Sorted ids: what Gymnasium has registered by now, PyBullet's tasks and this
        project's own. Does not import a simulator.
    """
    import gymnasium

    # Only registers ids; pybullet itself is imported when a task is made.
    importlib.import_module("pybullet_envs_gymnasium")
    return sorted({*gymnasium.registry, _TINYTRAJ_ID})


def require_known(name: str) -> str:
    """Return the canonical id of an environment that Gymnasium can make.

    Parameters
    ----------
    name
        Gymnasium id as in `canonical_env_id`. A module that stays in front of the
        canonical id is imported, as Gymnasium would.

    Returns
    -------
    str
        The canonical id, module prefix included if it is not a known one.

    Raises
    ------
    ValueError
        If no such id is registered; names the closest known ids.
    """
    env_id = canonical_env_id(name)
    module, _, bare_id = env_id.rpartition(":")
    reason = ""
    if module:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            # A module that exists but lacks a dependency is another problem.
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
    """Make a Gymnasium environment, importing whatever module registers it.

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
        The environment with Gymnasium's wrappers, its time limit among them, but
        without the passive checker: that one inspects spaces and returns of the calls
        it sees, costs time for it, and changes nothing that the environment computes.

    Raises
    ------
    ValueError
        If the id is unknown; names the closest known ids.
    gymnasium.error.DependencyNotInstalled
        If the simulator of the environment is not installed.
    """
    import gymnasium

    env_id = require_known(name)
    if env_id == _TINYTRAJ_ID:
        importlib.import_module("tinytraj_humanoid_bullet")
    return gymnasium.make(env_id, disable_env_checker=True, **env_config)
