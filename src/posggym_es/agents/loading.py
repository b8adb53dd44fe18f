"""Lines of Python code that load an agent, for users to paste."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posggym_es.registration.spec import AgentSpec

if TYPE_CHECKING:
    from posggym.agents.registration import PolicySpec

# A source of agents: the zoo of this package, instead of a folder or URL.
ZOO = "zoo"


def lines_of(spec: AgentSpec | PolicySpec, source: str | None = None) -> list[str]:
    """Return lines of Python code that load an agent.

    Parameters
    ----------
    spec
        The agent.
    source
        What to register: a folder or URL with agents, or `ZOO`. None if the imported
        posggym has the agent.
    """
    lines = ["import posggym, posggym.agents"]
    if source == ZOO:
        lines = ["import posggym, posggym.agents, posggym_es.zoo"]
    elif source is not None:
        lines = ["import posggym, posggym.agents, posggym_es"]
        lines.append(f'posggym_es.register_agents("{source}")')
    elif getattr(spec, "env_type", None) == "gymnasium":
        lines.append("import posggym_gymnasium  # registers Gymnasium tasks")
    return [
        *lines,
        env_line(spec),
        f'policy = posggym.agents.make("{spec.id}", env.model, "{agent_of(spec)}")',
    ]


def short_id(policy_id: str) -> str:
    """Return the last part of a policy's id: its name and version."""
    return policy_id.rpartition("/")[2]


def env_line(spec: AgentSpec | PolicySpec) -> str:
    """Return the line of Python code that makes an agent's environment."""
    return f'env = posggym.make("{spec.env_id}"{arguments_of(spec)})'


def arguments_of(spec: AgentSpec | PolicySpec) -> str:
    """Return the arguments of an agent's environment, as they follow its id in code."""
    return "".join(f", {k}={v!r}" for k, v in (spec.env_args or {}).items())


def agent_of(spec: AgentSpec | PolicySpec) -> str:
    """Return the first agent id that an agent can play."""
    return spec.valid_agent_ids[0] if spec.valid_agent_ids else "0"
