"""Checks of policies from files before they are played."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from gymnasium import spaces

from exact_gymnasium.ids import canonical_env_id
from posggym_es.models.processors import ProcessorSpec
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.tasks.family import POSGGYM_PREFIX
from posggym_es.tasks.posggym_task import make_processor

if TYPE_CHECKING:
    import posggym


def check_modules(policy: ConvertiblePolicy, modules: Collection[str] = ()) -> None:
    """Check that a policy's environment imports only modules that the user trusts.

    Creating the environment "module:Id" imports the module. In a config or on a command
    line, this is what the user wants, but policy files can be from third parties.

    Parameters
    ----------
    policy
        A policy from a file.
    modules
        Modules that the user trusts.

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
    policy: ConvertiblePolicy, model: posggym.POSGModel[Any, Any, Any], agent: str
) -> None:
    """Check that a policy can play an agent of an environment.

    Raises
    ------
    ValueError
        If the agent does not exist, or sizes of observations or actions do not match.
    """
    if agent not in model.possible_agents:
        raise ValueError(
            f"the policy plays the agent {agent!r}, but {policy.env_name} has "
            f"{', '.join(model.possible_agents)}"
        )
    agent_spaces = model.observation_spaces[agent], model.action_spaces[agent]
    specs = policy.processors_for(*agent_spaces)
    seen, acted = map(_processed, specs, agent_spaces)
    needed = spaces.flatdim(seen), policy.outputs_for(acted)
    if (policy.observation_size, policy.outputs) != needed:
        raise ValueError(
            f"the policy maps {policy.observation_size} numbers to {policy.outputs}, "
            f"but agent {agent} of {policy.env_name} needs {needed[0]} numbers and "
            f"{needed[1]}; is it for other arguments of the environment?"
        )


def _processed(processor: ProcessorSpec, space: spaces.Space[Any]) -> spaces.Space[Any]:
    name, config = processor.name, processor.config
    try:
        return make_processor((name, config), space).get_processed_space()
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"the policy's {name} cannot process {type(space).__name__} with the "
            f"arguments {config}"
        ) from error
