"""What can be known about agents before they are trained.

Their tasks can be made, and POSGGym will take them: ids, folders and roles follow from
the config and from POSGGym alone. Training can take days, so mistakes in them are
better found before it.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pgpelib.tasks.registry import require_known_env
from pgpelib.training.config import TrainingConfig
from pgpelib.utils.hints import did_you_mean
from posggym_es.config.experiments import ConfigError
from posggym_es.models.processors import ProcessorSpec
from posggym_es.registration.environments import env_of
from posggym_es.registration.posggym_trees import make_tree
from posggym_es.registration.spec import AgentSpec
from posggym_es.registration.spec_making import agent_in
from posggym_es.tasks.family import POSGGYM_PREFIX
from posggym_es.utils.schema_check import refuse_mistakes

# Processors follow from the trained policy; ids and files do not depend on them.
_ANY = ProcessorSpec("IdentityProcessor")


@dataclasses.dataclass(frozen=True)
class PlannedAgent:
    """An agent that is to be trained.

    Parameters
    ----------
    entry
        Path of its entry in the config.
    train
        Its training settings for `TrainingConfig.from_dict`.
    settings
        Its registration settings.
    """

    entry: str
    train: dict[str, Any]
    settings: dict[str, Any]


_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in dataclasses.fields(PlannedAgent)],
        "properties": {
            "entry": {"type": "string"},
            "train": {"type": "object"},
            "settings": {"type": "object"},
        },
    },
}


def planned_agents(data: Any) -> list[PlannedAgent]:
    """Return agents from plain data.

    Raises
    ------
    ValueError
        If the data describe no agents.
    """
    refuse_mistakes(data, _SCHEMA)
    return [PlannedAgent(**agent) for agent in data]


def check_planned(agents: Sequence[PlannedAgent]) -> list[AgentSpec]:
    """Make the agents' tasks, and register the agents in a throw-away posggym.

    Parameters
    ----------
    agents
        All that will be registered together.

    Returns
    -------
    list of AgentSpec
        Specs of the agents, except for description and processors.

    Raises
    ------
    ConfigError
        If a task cannot be made, or an agent cannot be registered; names the experiment
        and the key.
    RegistryError
        If an id is one of posggym's own, or posggym cannot be added to.
    StagingError
        If two agents share an id or a file.
    """
    # Tasks do not depend on seeds.
    different = {
        (agent.entry, json.dumps({**agent.train, "seed": 0}, sort_keys=True)): agent
        for agent in agents
    }
    for agent in different.values():
        _check_tasks(agent)
    specs = [_spec(agent) for agent in agents]
    with tempfile.TemporaryDirectory() as folder:
        make_tree(specs, None, Path(folder) / "tree")
    return specs


def _check_tasks(agent: PlannedAgent) -> None:
    """Make the tasks of an experiment once, as its training will."""
    where = f"{agent.entry}.train"
    try:
        config = TrainingConfig.from_dict(agent.train)
        for name in (config.env_name, config.registered_env_name):
            if name.startswith(POSGGYM_PREFIX):
                env_of(name, config.env_config)
            else:
                require_known_env(name)
        tasks = [
            make(role)
            for role in config.roles or (None,)
            for make in (config.task.training_task, config.task.re_eval_task)
        ]
        for task in tasks:
            config.task.architecture(task)
        _check_roles(config)
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error
    except Exception as error:
        # What environments refuse, they refuse with exceptions of any kind.
        raise ConfigError(
            f"{where}.env_config: {config.env_name} cannot be made with "
            f"{config.env_config}: {' '.join(str(error).split()) or repr(error)}"
        ) from error


def _check_roles(config: TrainingConfig) -> None:
    """Refuse roles that leave an agent of the environment without a policy."""
    if not config.roles or config.partners:
        return
    env = env_of(config.registered_env_name, config.env_config).make()
    possible = list(env.possible_agents)
    env.close()
    left = [name for name in possible if name not in config.roles]
    if left:
        raise ConfigError(
            f"roles: no policy plays {', '.join(left)}; name all agents "
            f"({', '.join(possible)}), or give partners"
        )


def _spec(agent: PlannedAgent) -> AgentSpec:
    where = agent.entry
    config = TrainingConfig.from_dict(agent.train)
    env = env_of(config.registered_env_name, config.env_config)
    try:
        spec = agent_in(env, agent.settings, _ANY, _ANY)
    except ValueError as error:
        raise ConfigError(f"{where}.register: {error}") from error
    if spec.valid_agent_ids is not None:
        made = env.make()
        possible = made.possible_agents
        made.close()
        for role in spec.valid_agent_ids:
            if role not in possible:
                raise ConfigError(
                    f"{where}.register.valid_agent_ids: {env.env_id} has no agent "
                    f"{role!r}{did_you_mean(role, possible, repr)}; it has "
                    f"{', '.join(possible)}"
                )
    return spec
