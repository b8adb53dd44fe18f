"""Which POSGGym environment a trained policy is for."""

from __future__ import annotations

import dataclasses
from typing import Any

import posggym

import posggym_gymnasium
from pgpelib.policies import SavedPolicy
from pgpelib.tasks.posggym_envs import (
    ENDLESS_LENGTH,
    PosggymEpisodes,
    complete_env_args,
    endless_length_of,
)
from pgpelib.tasks.registry import POSGGYM_PREFIX, standard_env_name
from posggym_es.ppo_data import PPOPolicyData
from posggym_gymnasium.ids import ENV_TYPE, canonical_env_id, env_name


@dataclasses.dataclass(frozen=True)
class RegisteredEnv:
    """An environment as POSGGym knows it.

    Parameters
    ----------
    env_id
        POSGGym id.
    env_args
        Keyword arguments that the policy is for; None for any.
    env_type, env_name
        Folder names in POSGGym's layout.
    endless_length
        Steps after which an episode is stopped if the environment has no time limit.
    """

    env_id: str
    env_args: dict[str, Any] | None
    env_type: str
    env_name: str
    endless_length: int = ENDLESS_LENGTH

    def make(self) -> posggym.Env[Any, Any, Any]:
        """Make the environment, unwrapped but for its time limit."""
        return self.make_episodes().env

    def make_episodes(self) -> PosggymEpisodes:
        """Make the environment for episodes that do not depend on each other."""
        return make_episodes(
            self.env_id, self.env_args, endless_length=self.endless_length
        )


def make_episodes(
    env_id: str,
    env_args: dict[str, Any] | None,
    render_mode: str | None = None,
    endless_length: int = ENDLESS_LENGTH,
) -> PosggymEpisodes:
    """Make a POSGGym environment; Gymnasium tasks are registered on the way."""
    known_id = posggym_gymnasium.ensure_registered(env_id)
    return PosggymEpisodes(known_id, env_args, render_mode, endless_length)


def registered_env(policy: SavedPolicy | PPOPolicyData) -> RegisteredEnv:
    """Return the environment that a policy is registered for.

    That is the environment of re-evaluations: HumanoidBulletEnv-v0 for a policy trained
    in TinyTrajHumanoidBulletEnv-v0. POSGGym environments get all their arguments,
    defaults included, because the observations depend on them; Gymnasium tasks none
    unless some were given.
    """
    name = policy.notes.get("re_eval_env_name") or standard_env_name(policy.env_name)
    return dataclasses.replace(
        env_of(name, policy.env_config),
        endless_length=endless_length_of(policy.notes),
    )


def env_of(name: str, env_config: dict[str, Any]) -> RegisteredEnv:
    """Return the environment that policies for a task are registered for.

    Parameters
    ----------
    name
        The task of re-evaluations: a Gymnasium id, or "posggym:" and a POSGGym id.
    env_config
        Keyword arguments that were given for it.

    Raises
    ------
    ValueError
        If POSGGym has no such environment, or it has no such arguments.
    """
    if name.startswith(POSGGYM_PREFIX):
        env_id = name.removeprefix(POSGGYM_PREFIX)
        env_args = complete_env_args(env_id, env_config)
        # "posggym.envs.continuous.driving_continuous:DrivingContinuousEnv"
        module = posggym.envs.registry[env_id].entry_point.partition(":")[0]
        env_type, folder = module.split(".")[-2:]
        return RegisteredEnv(env_id, env_args, env_type, folder)
    env_id = canonical_env_id(name)
    return RegisteredEnv(env_id, env_config or None, ENV_TYPE, env_name(env_id))
