"""Folders of agents with random policies."""

from __future__ import annotations

import dataclasses
import hashlib

import posggym

import posggym_gymnasium
from made_policies import linear_policy_for
from pgpelib.utils.files import write_bytes, write_json
from posggym_es.agents.folders import policy_file_of
from posggym_es.models.posggym_model_file import model_file_bytes
from posggym_es.registration.environments import env_of
from posggym_es.registration.spec import SPEC_FILE
from posggym_es.registration.spec_making import agent_in


def make_agent(folder, env_name, name, agent="0", seed=0, **settings):
    """Write the folder of an agent with a random policy; return its spec and policy."""
    registered = env_of(env_name, {})
    posggym_gymnasium.ensure_registered(registered.env_id)
    env = posggym.make(registered.env_id)
    policy = linear_policy_for(env, agent, seed=seed)
    converted = policy.to_posggym(
        env.observation_spaces[agent], env.action_spaces[agent]
    )
    env.close()
    data = model_file_bytes(converted.model)
    spec = agent_in(
        registered,
        {"policy_name": name, **settings},
        converted.obs_processor,
        converted.action_processor,
    )
    spec = dataclasses.replace(spec, policy_sha256=hashlib.sha256(data).hexdigest())
    write_json(folder / SPEC_FILE, spec.to_json())
    write_bytes(policy_file_of(folder), data)
    return spec, policy
