"""The policies that can play with a learner, and the agents that each can play."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from pgpelib.policies.partners import Partners
from pgpelib.policies.policy import SavedPolicy
from pgpelib.policies.saving import load_partners, with_standard_names
from pgpelib.utils.hints import did_you_mean
from posggym_es.tasks.casting import Candidates
from posggym_es.tasks.family import RANDOM_POLICY


@dataclasses.dataclass(frozen=True)
class PartnerPool:
    """Policies that can play with a learner.

    Parameters
    ----------
    candidates
        The policies that can play each agent, keyed by agent id: ids of registered
        ones, and standard names of saved ones. So who plays in the episode of a seed
        does not depend on where files are.
    saved
        The saved policies by their standard names.
    """

    candidates: dict[str, Candidates]
    saved: Mapping[str, SavedPolicy]


def partner_pool(agents: Sequence[str], partners: Partners) -> PartnerPool:
    """Return the policies that can play with a learner.

    Parameters
    ----------
    agents
        Agent ids of the environment.
    partners
        Ids of registered policies, and files of saved ones, each of which plays the
        agent that it was trained for.

    Raises
    ------
    ValueError
        If an id is not registered, or a file is not a policy of this project.
    """
    if not partners:
        return PartnerPool({}, {})
    policies = load_partners(partners)
    named = with_standard_names(partners, policies)
    saved = {
        name: policy
        for path, policy in policies.items()
        for name in with_standard_names([path], policies)
    }
    valid = _registered([name for name in named if name not in saved])
    for name, policy in saved.items():
        role = policy.metadata.role
        valid[name] = None if role is None else [role]

    def candidates(agent: str) -> Candidates:
        names = [
            name
            for name in named
            for allowed in [valid[name]]
            if allowed is None or agent in allowed
        ]
        if isinstance(named, Mapping):
            return {name: named[name] for name in names}
        return names

    return PartnerPool({agent: candidates(agent) for agent in agents}, saved)


def _registered(policy_ids: Sequence[str]) -> dict[str, list[str] | None]:
    """Return the agents that registered policies can play; None for all."""
    valid: dict[str, list[str] | None] = {RANDOM_POLICY: None}
    if valid.keys() >= set(policy_ids):
        return valid
    # On demand, because it imports PyTorch.
    import posggym.agents

    for policy_id in policy_ids:
        if policy_id not in posggym.agents.registry:
            hint = did_you_mean(policy_id, posggym.agents.registry)
            raise ValueError(f"partners: {policy_id!r} is not registered{hint}")
        valid[policy_id] = posggym.agents.registry[policy_id].valid_agent_ids
    return valid
