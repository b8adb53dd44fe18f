"""Creating the `AgentSpec` of a converted policy from its registration settings."""

from __future__ import annotations

import dataclasses
from typing import Any

from pgpelib.policies.partners import is_saved
from posggym_es.models.processors import ProcessorSpec
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.registration.environments import RegisteredEnv, registered_env
from posggym_es.registration.settings import RegisterSettings
from posggym_es.registration.spec import AgentSpec
from posggym_es.tasks.family import POSGGYM_PREFIX
from posggym_es.utils.return_statistics import format_interval, mean_interval
from posggym_gymnasium.ids import ENV_TYPE

# Maximum number of partners that a description names.
_MOST_PARTNERS = 3


def agent_spec(
    policy: ConvertiblePolicy,
    obs_processor: ProcessorSpec,
    action_processor: ProcessorSpec,
    settings: dict[str, Any],
    policy_sha256: str | None = None,
) -> AgentSpec:
    """Create the spec of a policy.

    Parameters
    ----------
    policy
        The extracted policy.
    obs_processor, action_processor
        The processors that it was converted for.
    settings
        Settings for `RegisterSettings`, as plain data.
    policy_sha256
        SHA-256 of the converted policy's file.

    Raises
    ------
    ValueError
        If the settings do not define an agent that POSGGym can register.
    """
    spec = agent_in(registered_env(policy), settings, obs_processor, action_processor)
    return dataclasses.replace(
        spec,
        description=describe(policy, spec.description),
        deterministic=policy.deterministic,
        policy_sha256=policy_sha256,
    )


def agent_in(
    env: RegisteredEnv,
    settings: dict[str, Any],
    obs_processor: ProcessorSpec,
    action_processor: ProcessorSpec,
) -> AgentSpec:
    """Create the spec of a policy for an environment, see `agent_spec`.

    Its description is only the one from the settings.
    """
    chosen = RegisterSettings.from_dict(settings)
    env_type = chosen.env_type or env.env_type
    if (env_type == ENV_TYPE) != (env.env_type == ENV_TYPE):
        raise ValueError(
            f"env_type: {env.env_id} belongs to {env.env_type}, not to {env_type}"
        )
    agent_ids = chosen.valid_agent_ids
    return AgentSpec(
        env_id=env.env_id,
        env_args=env.env_args,
        env_args_id=chosen.env_args_id or env.env_args_id,
        folder=chosen.env_args_id or env.folder,
        env_type=env_type,
        env_name=chosen.env_name or env.env_name,
        policy_name=chosen.policy_name,
        version=chosen.version,
        valid_agent_ids=None if agent_ids is None else list(agent_ids),
        description=chosen.description,
        obs_processor=obs_processor,
        action_processor=action_processor,
    )


def describe(policy: ConvertiblePolicy, text: str | None) -> str:
    """Return the description for the registry and the docs, with training and result.

    `text` is its first sentence, if any.
    """
    known = policy.metadata
    facts = []
    if known.timesteps and known.method:
        facts.append(f"{known.method}, {known.timesteps:,} steps")
    interval = format_interval(*mean_interval(known.extracted_reference.returns))
    result = f"mean return {interval} (95 %) {describe_partners(policy)}"
    facts.append(result.rstrip())
    if known.seed is not None and known.config is not None:
        facts.append(f"seed {known.seed}")
        if known.commit:
            facts.append(f"posggym-es commit {known.commit}")
    sentences = [text.rstrip("."), ", ".join(facts)] if text else [", ".join(facts)]
    return " ".join(f"{each[:1].upper()}{each[1:]}." for each in sentences)


def describe_partners(policy: ConvertiblePolicy) -> str:
    """Describe the co-players of a policy's reference returns; "" without any."""
    partners = policy.metadata.partner_ids
    if len(partners) > _MOST_PARTNERS or any(map(is_saved, partners)):
        return f"with {len(partners)} {'policy' if len(partners) == 1 else 'policies'}"
    if partners:
        return f"with {' and '.join(name.rpartition('/')[2] for name in partners)}"
    if policy.metadata.role is not None:
        return "with the policies trained for the other agents"
    return "in self-play" if policy.env_name.startswith(POSGGYM_PREFIX) else ""
