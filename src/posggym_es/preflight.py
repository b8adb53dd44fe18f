"""What can be known about agents before they are trained: that POSGGym will take them.

An agent's id, folder and roles follow from the config and from POSGGym alone. Training
can take days, so mistakes in them are better found before it.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pgpelib.hints import did_you_mean
from pgpelib.tasks.registry import POSGGYM_PREFIX
from posggym_es.agents import agent_in
from posggym_es.environments import env_of
from posggym_es.experiments import ConfigError
from posggym_es.schema_check import refuse_mistakes
from posggym_es.spec import AgentSpec, ProcessorSpec
from posggym_es.trees import make_tree
from posggym_gymnasium.ids import require_known

# Processors follow from the trained policy; ids and files do not depend on them.
_ANY = ProcessorSpec("IdentityProcessor")


@dataclasses.dataclass(frozen=True)
class PlannedAgent:
    """An agent that is to be trained.

    Parameters
    ----------
    experiment
        Key of its config entry.
    env_name
        The task of its re-evaluations, as in `TrainingConfig`.
    env_config
        Keyword arguments of the environment.
    settings
        Its registration settings.
    """

    experiment: str
    env_name: str
    env_config: dict[str, Any]
    settings: dict[str, Any]


_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in dataclasses.fields(PlannedAgent)],
        "properties": {
            "experiment": {"type": "string"},
            "env_name": {"type": "string"},
            "env_config": {"type": "object"},
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
    """Register agents in a copy of the installed posggym that is thrown away.

    Parameters
    ----------
    agents
        All that will be registered together.

    Returns
    -------
    list of AgentSpec
        How they will be registered, but for description and processors.

    Raises
    ------
    ConfigError
        If an environment, its arguments or an agent of it does not exist, or an agent
        cannot be registered; names the experiment and the key.
    RegistryError
        If an id is one of posggym's own, or posggym cannot be added to.
    StagingError
        If two agents share an id or a file.
    """
    specs = [_spec(agent) for agent in agents]
    with tempfile.TemporaryDirectory() as folder:
        make_tree(specs, None, Path(folder) / "tree")
    return specs


def _spec(agent: PlannedAgent) -> AgentSpec:
    where = f"experiments.{agent.experiment}"
    try:
        if not agent.env_name.startswith(POSGGYM_PREFIX):
            require_known(agent.env_name)
        env = env_of(agent.env_name, agent.env_config)
    except ValueError as error:
        raise ConfigError(f"{where}.train: {error}") from error
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
