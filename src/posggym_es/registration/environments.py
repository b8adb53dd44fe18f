"""Finding the POSGGym environment that a trained policy is registered for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import posggym
import posggym.config

import posggym_gymnasium
from exact_gymnasium.ids import canonical_env_id
from pgpelib.tasks.registry import standard_env_name
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.registration.registry_files import generated_specs
from posggym_es.tasks.family import POSGGYM_PREFIX
from posggym_es.tasks.posggym_envs import (
    ENDLESS_LENGTH,
    PosggymEpisodes,
    endless_length_of,
    env_arguments,
    given_env_args,
    same_env_args,
)
from posggym_gymnasium.ids import ENV_TYPE, env_name

if TYPE_CHECKING:
    from posggym.agents.registration import PolicySpec


@dataclasses.dataclass(frozen=True)
class RegisteredEnv:
    """An environment that agents are registered for.

    Parameters
    ----------
    env_id
        POSGGym id.
    env_args
        Keyword arguments that agents are for; None for any arguments.
    env_type, env_name
        Folder names in POSGGym's layout.
    endless_length
        Maximum steps per episode if the environment has no time limit.
    env_args_id, folder
        As in `posggym_es.registration.spec.AgentSpec`.
    """

    env_id: str
    env_args: dict[str, Any] | None
    env_type: str
    env_name: str
    endless_length: int = ENDLESS_LENGTH
    env_args_id: str | None = None
    folder: str | None = None

    def make(self) -> posggym.Env[Any, Any, Any]:
        """Make the environment, unwrapped except for its time limit."""
        return self.make_episodes().env

    def make_episodes(self) -> PosggymEpisodes:
        """Make the environment for episodes that do not depend on each other."""
        return posggym_episodes(
            self.env_id, self.env_args, endless_length=self.endless_length
        )


def posggym_episodes(
    env_id: str,
    env_args: dict[str, Any] | None,
    render_mode: str | None = None,
    endless_length: int = ENDLESS_LENGTH,
) -> PosggymEpisodes:
    """Make a POSGGym environment; Gymnasium tasks are registered as well."""
    known_id = posggym_gymnasium.ensure_registered(env_id)
    return PosggymEpisodes(known_id, env_args, render_mode, endless_length)


def registered_env(policy: ConvertiblePolicy) -> RegisteredEnv:
    """Return the environment that a policy is registered for.

    This is the environment of re-evaluations, for example HumanoidBulletEnv-v0 for a
    policy trained in TinyTrajHumanoidBulletEnv-v0.
    """
    name = policy.metadata.re_eval_env_name or standard_env_name(policy.env_name)
    return dataclasses.replace(
        env_of(name, policy.env_config),
        endless_length=endless_length_of(policy.metadata),
    )


def env_of(name: str, env_config: dict[str, Any]) -> RegisteredEnv:
    """Return the environment that policies for a task are registered for.

    Parameters
    ----------
    name
        The task of re-evaluations: a Gymnasium id, or "posggym:" and a POSGGym id.
    env_config
        The given keyword arguments.

    Returns
    -------
    RegisteredEnv
        The environment. If POSGGym has agents for the same arguments, it has their
        `env_args`, `env_args_id` and folder. Otherwise, it has the given arguments, or
        the first default argument (the grid or world of most environments) if none are
        given, because agents without arguments would be for any.

    Raises
    ------
    ValueError
        If POSGGym does not have the environment, or an argument is unknown.
    """
    if not name.startswith(POSGGYM_PREFIX):
        env_id = canonical_env_id(name)
        return RegisteredEnv(env_id, env_config or None, ENV_TYPE, env_name(env_id))
    env_id = name.removeprefix(POSGGYM_PREFIX)
    given = given_env_args(env_id, env_config)
    # "posggym.envs.continuous.driving_continuous:DrivingContinuousEnv"
    module = str(posggym.envs.registry[env_id].entry_point).partition(":")[0]
    env_type, folder = module.split(".")[-2:]
    neighbour = _registered_for(env_id, given)
    if neighbour is not None:
        return RegisteredEnv(
            env_id,
            neighbour.env_args,
            env_type,
            folder,
            env_args_id=neighbour.env_args_id,
            folder=_folder_of(neighbour),
        )
    defaults = env_arguments(env_id)
    if not given and posggym.envs.registry[env_id].kwargs:
        first = next(iter(defaults))
        given = {first: defaults[first]}
    return RegisteredEnv(env_id, given or None, env_type, folder)


def _registered_for(env_id: str, env_args: dict[str, Any]) -> PolicySpec | None:
    """Return an agent that POSGGym itself registers for the same arguments."""
    # Imported on demand, because it imports PyTorch.
    import posggym.agents

    tree = Path(posggym.__file__).parent.parent
    generated = {spec.id for spec in generated_specs(tree)}
    for spec in posggym.agents.registry.values():
        if (
            spec.env_id == env_id
            and spec.env_args is not None
            and spec.id not in generated
            and _is_posggyms(spec)
            and same_env_args(env_id, spec.env_args, env_args)
        ):
            return spec
    return None


def _is_posggyms(spec: PolicySpec) -> bool:
    """Return whether a policy's file, if any, is where POSGGym keeps its own."""
    file = spec.kwargs.get("policy_file_path")
    return file is None or Path(file).is_relative_to(posggym.config.AGENT_MODEL_DIR)


def _folder_of(spec: PolicySpec) -> str | None:
    """Return the name of the folder that a policy's file is in."""
    file = spec.kwargs.get("policy_file_path")
    return None if file is None else Path(file).parent.name
