"""Converting the policies of a folder, with a proof for each."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import posggym
from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from pgpelib.utils.files import write_bytes, write_json
from posggym_es.conversion.proof import prove
from posggym_es.conversion.report import (
    MIN_OBSERVATIONS,
    MODEL_SUFFIX,
    conversion_report,
    report_file_of,
)
from posggym_es.models.posggym_model_file import model_file_bytes
from posggym_es.models.processors import ProcessorSpec
from posggym_es.policies.convertible import (
    ConversionError,
    ConvertedPolicy,
    ConvertiblePolicy,
)
from posggym_es.policies.policy_checks import check_fits
from posggym_es.registration.environments import registered_env
from posggym_es.sources.registry import read_policies
from posggym_es.sources.settings import AgentSettings


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A converted policy whose conversion was proved.

    Parameters
    ----------
    data
        Content of the policy file.
    report
        Content of the report, which is written next to it.
    """

    data: bytes
    report: dict[str, Any]


def convert_folder(
    checkpoint_dir: Path,
    output_dir: Path,
    action_processor: ProcessorSpec | None = None,
    observations: int = MIN_OBSERVATIONS,
    env_modules: Collection[str] = (),
    source: str | None = None,
    agent: AgentSettings | None = None,
) -> dict[Path, dict[str, Any]]:
    """Convert the policies of `checkpoint_dir` and write files and proofs.

    Parameters
    ----------
    checkpoint_dir
        See `posggym_es.sources.registry.read_policies`.
    output_dir
        Folder for `policy.pkl` and `conversion.json`, or for `<policy_id>.pkl` and
        `<policy_id>.json` if policies have ids. Created if it does not exist.
    action_processor
        Processor to register with instead of the default; see `ConvertiblePolicy`.
    observations
        Number of observations to compare, at least `MIN_OBSERVATIONS`.
    env_modules
        Modules that the environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.
    source, agent
        The kind of source, and what its files do not say about their agents, see
        `posggym_es.sources.registry.read_policies`.

    Returns
    -------
    dict
        The report of each written policy file, keyed by its path.

    Raises
    ------
    ConversionError
        If POSGGym's format cannot express a policy, a converted policy acts
        differently, or `observations` is too small. In this case, nothing is written.
    """
    if observations < MIN_OBSERVATIONS:
        raise ConversionError(
            f"{observations} observations prove too little; compare at least "
            f"{MIN_OBSERVATIONS}"
        )
    conversions = {}
    policies = read_policies(checkpoint_dir, env_modules, source, agent)
    for name, policy in policies.items():
        try:
            conversions[name] = _convert(policy, action_processor, observations)
        except ValueError as error:
            raise ConversionError(f"{checkpoint_dir}, {name}: {error}") from error
    written = {}
    for name, conversion in conversions.items():
        path = output_dir / f"{name}{MODEL_SUFFIX}"
        write_bytes(path, conversion.data)
        write_json(output_dir / report_file_of(name), conversion.report)
        written[path] = conversion.report
    return written


def _convert(
    policy: ConvertiblePolicy,
    action_processor: ProcessorSpec | None,
    observations: int,
) -> Conversion:
    with contextlib.closing(registered_env(policy).make()) as env:
        agent = policy.metadata.role or env.possible_agents[0]
        check_fits(policy, env.model, agent)
        converted = policy.to_posggym(
            env.observation_spaces[agent], env.action_spaces[agent], action_processor
        )
        data = model_file_bytes(converted.model)
        with _written(data) as file:
            loaded = _load(converted, file, env, agent, policy.deterministic)
        proof = prove(policy, loaded, env, observations)
    if not proof.holds:
        raise ConversionError(f"{proof.failure}; float32 cannot hold this policy")
    return Conversion(
        data,
        conversion_report(
            data,
            converted.obs_processor,
            converted.action_processor,
            dataclasses.asdict(proof),
        ),
    )


def _load(
    converted: ConvertedPolicy,
    file: Path,
    env: posggym.Env[Any, Any, Any],
    agent: str,
    deterministic: bool,
) -> PPOPolicy[Any, Any]:
    """Load a policy file as POSGGym does, with the processors to register with."""
    return PPOPolicy.load_from_path(
        env.model,
        agent,
        "proof",
        file,
        deterministic=deterministic,
        obs_processor_cls=getattr(processors, converted.obs_processor.name),
        obs_processor_config=converted.obs_processor.config,
        action_processor_cls=getattr(processors, converted.action_processor.name),
        action_processor_config=converted.action_processor.config,
    )


@contextlib.contextmanager
def _written(data: bytes) -> Iterator[Path]:
    """Write a temporary policy file, because POSGGym's own loader reads only files."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"proof{MODEL_SUFFIX}"
        file.write_bytes(data)
        yield file
