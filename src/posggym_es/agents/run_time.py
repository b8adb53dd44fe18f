"""Registering the agents of a folder with the installed posggym, at run time.

This module needs nothing that only training needs.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import posggym
import posggym.agents
from posggym.agents.registration import PolicySpec
from posggym.agents.torch_policy import PPOLSTMModel, PPOPolicy
from posggym.agents.utils import processors

from pgpelib.foreign.safe_pickle import ForeignFileError
from posggym_es.agents.folders import agent_specs, policy_file_of
from posggym_es.agents.manifest import MANIFEST_FILE, read_manifest
from posggym_es.agents.remote import fetch, is_url
from posggym_es.models.posggym_model_file import parse_model_file
from posggym_es.models.processors import ProcessorSpec
from posggym_es.registration.spec import MODELS_ROOT, SPEC_FILE, AgentSpec
from posggym_gymnasium.ids import ENV_TYPE as GYMNASIUM


def register_agents(folder: str | Path) -> list[str]:
    """Register the agents of a folder with the installed posggym, in this process.

    `posggym.agents.make` then accepts their ids. Policy files are read when it is
    called: only a file with the SHA-256 in the agent's spec is accepted, and none is
    unpickled, so a folder from a third party cannot execute code.

    Parameters
    ----------
    folder
        `results/registry`, the results folder of an experiment, or another folder with
        agents below it. Or a models repository that `snakemake publish` has pushed to.
        Or the URL of a git repository with any of these, such as
        `git+https://example.org/me/posggym-agent-models.git@posggym-es` for the branch
        `posggym-es`, see `posggym_es.agents.remote`.

    Returns
    -------
    list of str
        The ids of the folder's agents, including those that were registered before.

    Raises
    ------
    ValueError
        If the URL cannot be fetched, there are no agents, a spec or policy file is
        missing or damaged, or an id is already that of a different agent. In this case,
        none is registered.
    """
    url = isinstance(folder, str) and is_url(folder)
    root = fetch(str(folder)) if url else Path(folder)
    found = list(_policy_specs(root))
    if not found:
        raise ValueError(
            f"{folder}: no agents found; name a folder such as results/registry, with "
            f"{SPEC_FILE} files below it, or a models repository with {MANIFEST_FILE}"
        )
    if any(agent.env_type == GYMNASIUM for agent, _ in found):
        # Registers the environments, and imports no simulators.
        import posggym_gymnasium  # noqa: F401
    new: dict[str, PolicySpec] = {}
    for agent, spec in found:
        present = new.get(agent.id) or posggym.agents.registry.get(agent.id)
        if present is None:
            new[agent.id] = spec
        elif _content(present) != _content(spec):
            raise ValueError(
                f"{spec.kwargs['policy_file_path']}: {agent.id} is already the id of "
                f"a different agent ({_origin(present)}); register this one as "
                f"version {agent.version + 1}, or in a process of its own"
            )
    for spec in new.values():
        posggym.agents.register_spec(spec)
    return [agent.id for agent, _ in found]


def load_agent(
    agent: AgentSpec,
    model: posggym.POSGModel[Any, Any, Any],
    agent_id: str,
    policy_id: str,
    *,
    policy_file_path: Path,
    deterministic: bool,
    obs_processor_cls: type[processors.Processor],
    obs_processor_config: dict[str, Any],
    action_processor_cls: type[processors.Processor],
    action_processor_config: dict[str, Any],
) -> PPOPolicy[Any, Any]:
    """Create an agent's policy, without executing anything that its file contains.

    Parameters
    ----------
    agent
        The spec of the agent.
    model, agent_id, policy_id
        What `posggym.agents.make` passes: the model of the environment, the agent to
        play, and the id of the policy.
    policy_file_path, deterministic, obs_processor_cls, obs_processor_config
        As of `PPOPolicy.load_from_path`, which unpickles files.
    action_processor_cls, action_processor_config
        As above.

    Raises
    ------
    ValueError
        If the file is not the agent's, or not a policy file; the message names it.
    OSError
        If the file cannot be read.
    """
    data = agent.policy_bytes(policy_file_path)
    try:
        fields = parse_model_file(data)
    except ForeignFileError as error:
        raise ForeignFileError(
            f"{policy_file_path}: not a policy file: {error}"
        ) from error
    obs_processor = obs_processor_cls(
        model.observation_spaces[agent_id], **obs_processor_config
    )
    action_processor = action_processor_cls(
        model.action_spaces[agent_id], **action_processor_config
    )
    weights = fields.pop("weights")
    network = PPOLSTMModel(
        obs_processor.get_processed_space(),
        action_processor.get_processed_space(),
        **fields,
    )
    network.load_state_dict(weights)
    return PPOPolicy(
        model,
        agent_id,
        policy_id,
        network,
        obs_processor,
        action_processor,
        deterministic,
    )


def _policy_specs(root: Path) -> Iterator[tuple[AgentSpec, PolicySpec]]:
    """Yield the agents below a folder, with POSGGym's specs for them."""
    for agent, file in _agents_and_files(root):
        if not file.is_file():
            raise ValueError(f"{file}: no such file; it is the policy of {agent.id}")
        yield agent, policy_spec(agent, file.absolute())


def _agents_and_files(root: Path) -> Iterator[tuple[AgentSpec, Path]]:
    if (root / MANIFEST_FILE).is_file():
        for agent in read_manifest(root):
            yield agent, root / MODELS_ROOT / agent.asset
    else:
        for folder, agent in agent_specs(root):
            yield agent, policy_file_of(folder)


def policy_spec(agent: AgentSpec, file: Path) -> PolicySpec:
    """Return POSGGym's spec of an agent whose policy is in `file`."""
    return PolicySpec(
        policy_name=agent.policy_name,
        entry_point=functools.partial(load_agent, agent),
        version=agent.version,
        env_id=agent.env_id,
        env_args=agent.env_args,
        env_args_id=agent.env_args_id,
        valid_agent_ids=agent.valid_agent_ids,
        description=agent.description or None,
        kwargs={
            "policy_file_path": file,
            "deterministic": agent.deterministic,
            **_processor_arguments("obs", agent.obs_processor),
            **_processor_arguments("action", agent.action_processor),
        },
    )


def _processor_arguments(kind: str, processor: ProcessorSpec) -> dict[str, Any]:
    return {
        f"{kind}_processor_cls": getattr(processors, processor.name),
        f"{kind}_processor_config": processor.config,
    }


def _content(spec: PolicySpec) -> Sequence[Any]:
    """Return what two registrations of one agent agree in, wherever its file is."""
    kwargs = spec.kwargs
    # As in registration code, whose default action processor is the identity.
    action_processor = kwargs.get("action_processor_cls")
    return (
        spec.env_args,
        spec.valid_agent_ids,
        kwargs.get("deterministic"),
        kwargs.get("obs_processor_cls"),
        kwargs.get("obs_processor_config") or {},
        action_processor or processors.IdentityProcessor,
        kwargs.get("action_processor_config") or {},
        _digest(kwargs.get("policy_file_path")),
    )


def _digest(file: str | Path | None) -> str | None:
    if file is None or not Path(file).is_file():
        return None
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def _origin(spec: PolicySpec) -> str:
    return str(spec.kwargs.get("policy_file_path", posggym.__file__))
