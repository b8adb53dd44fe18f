"""Settings for the registration of an experiment's agents.

Everything else that the registration needs is derived from the policy.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pgpelib.utils.settings import AS_TUPLE, Count, Settings, Text
from posggym_es.models.processor_settings import ActionProcessorSettings
from posggym_es.registration.spec import PATH_PART_RE

_AgentIds = Annotated[tuple[str, ...], Field(min_length=1), AS_TUPLE]
_Folder = Annotated[str, Field(pattern=f"^{PATH_PART_RE.pattern}$")]


class RegisterSettings(Settings):
    """Registration settings of an agent."""

    policy_name: Text
    """Name in the id. `{seed}`, `{role}` and, with `checkpoint_dir`, `{policy_id}` are
    replaced by those of the agent."""
    version: Count = 0
    """Version in the id."""
    description: str = ""
    """First sentence of the description. The algorithm, steps, mean return with its
    95 % confidence interval, seed and commit are appended."""
    valid_agent_ids: _AgentIds | None = None
    """Agents that the policy can play; by default the role that it was trained for, or
    all agents."""
    env_args_id: Text | None = None
    """Name of the environment's arguments in the id, and folder of the policy file. By
    default that of POSGGym's agents for the same arguments, or `k1=v1-k2=v2` from the
    given arguments."""
    env_type: _Folder | None = None
    """Folder of the environment's type in POSGGym; derived by default."""
    env_name: _Folder | None = None
    """Folder of the environment in POSGGym; derived by default."""
    action_processor: ActionProcessorSettings | None = None
    """How the network's outputs become actions:
    `{name: RescaleProcessor, config: {...}}` or `{name: IdentityProcessor}`; derived by
    default."""
