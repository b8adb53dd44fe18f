"""Whether a policy from a file can be played, and may be."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import posggym
from gymnasium import spaces

from exact_gymnasium.ids import canonical_env_id
from pgpelib.policies.policy import SavedPolicy
from posggym_es.models.ppo_data import PPOPolicyData
from posggym_es.tasks.family import POSGGYM_PREFIX
from posggym_es.tasks.posggym_task import make_processor


def check_modules(
    policy: SavedPolicy | PPOPolicyData, modules: Collection[str] = ()
) -> None:
    """Refuse a policy whose environment would import a module that nobody asked for.

    Making "module:Id" imports the module, whatever that is. In a config or on a command
    line that is the user's own word; in a policy file it is somebody else's.

    Parameters
    ----------
    policy
        A policy from a file.
    modules
        Modules that the user has named.

    Raises
    ------
    ValueError
        If an environment of the policy is in another module.
    """
    for name in (policy.env_name, policy.metadata.re_eval_env_name or ""):
        module = canonical_env_id(name).rpartition(":")[0]
        if name.startswith(POSGGYM_PREFIX) or not module or module in modules:
            continue
        raise ValueError(
            f"the policy's environment {name} would import the module {module}; if you "
            "trust that module, name it (--env_module, or env_modules in the config)"
        )


def check_fits(
    policy: SavedPolicy, env: posggym.Env[Any, Any, Any], agent: str
) -> None:
    """Refuse a policy that cannot play an agent of an environment.

    Raises
    ------
    ValueError
        If there is no such agent, or observations or actions are of another size.
    """
    if agent not in env.possible_agents:
        raise ValueError(
            f"the policy plays the agent {agent!r}, but {policy.env_name} has "
            f"{', '.join(env.possible_agents)}"
        )
    seen = _processed(policy.obs_processor, env.observation_spaces[agent])
    acted = _processed(policy.action_processor, env.action_spaces[agent])
    kind = "discrete" if isinstance(acted, spaces.Discrete) else "box"
    needed = spaces.flatdim(seen), spaces.flatdim(acted), kind
    found = policy.observation_size, policy.action.output_size, policy.action.kind
    if needed != found:
        raise ValueError(
            f"the policy maps {found[0]} numbers to {found[1]} outputs ({found[2]}), "
            f"but agent {agent} of {policy.env_name} needs {needed[0]} and {needed[1]} "
            f"({needed[2]}); is it for other arguments of the environment?"
        )


def _processed(
    processor: tuple[str, dict[str, Any]], space: spaces.Space[Any]
) -> spaces.Space[Any]:
    try:
        return make_processor(processor, space).get_processed_space()
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the policy's {processor[0]} cannot process {type(space).__name__} with "
            f"the arguments {processor[1]}"
        ) from error
