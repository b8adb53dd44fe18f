"""Converting a folder to a folder, with the proof beside the file."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from pgpelib.policies.policy import SavedPolicy
from pgpelib.utils.files import write_bytes, write_json
from posggym_es.conversion import ppo_policies
from posggym_es.conversion.lossless import (
    MIN_OBSERVATIONS,
    ConversionError,
    convert,
    prove,
)
from posggym_es.conversion.report import MODEL_NAME, REPORT_FILE, conversion_report
from posggym_es.models.posggym_model_file import model_file_bytes
from posggym_es.models.ppo_data import PPOPolicyData
from posggym_es.policies.checkpoint_names import CHECKPOINT_SUFFIX
from posggym_es.policies.policy_checks import check_fits
from posggym_es.policies.policy_file import METADATA_FILE, read_policy
from posggym_es.policies.ppo_checkpoints import load_checkpoint, usable_checkpoints
from posggym_es.policies.selection import pick_policy
from posggym_es.registration.environments import registered_env
from posggym_es.registration.spec import ProcessorSpec


def read_checkpoint_dir(
    source: Path, env_modules: Collection[str] = ()
) -> dict[str, SavedPolicy | PPOPolicyData]:
    """Read the policies of a folder or file, by the names of the files to write.

    Parameters
    ----------
    source
        A folder with an extracted policy, or with saved policies, of which the latest
        is taken, or one such file: one policy, named "policy". Or a folder with
        checkpoints of the PPO baselines, or one of them: named by policy id.
    env_modules
        Modules that the environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.
    """
    if not source.exists():
        raise ConversionError(f"{source}: no such file or folder")
    if (source / METADATA_FILE).exists():
        return {MODEL_NAME: read_policy(source, env_modules)}
    is_checkpoint = source.suffix == CHECKPOINT_SUFFIX
    if is_checkpoint or next(source.glob(f"*{CHECKPOINT_SUFFIX}"), None) is not None:
        return {
            policy_id: load_checkpoint(path)
            for policy_id, path in usable_checkpoints(source).items()
        }
    return {MODEL_NAME: pick_policy(source, "latest", env_modules=env_modules)[1]}


@dataclasses.dataclass(frozen=True)
class Conversion:
    """A converted policy, proved.

    Parameters
    ----------
    data
        Bytes of the policy file.
    report
        What is written beside it.
    """

    data: bytes
    report: dict[str, Any]


def convert_folder(
    checkpoint_dir: Path,
    output_dir: Path,
    action_processor: ProcessorSpec | None = None,
    observations: int = MIN_OBSERVATIONS,
    env_modules: Collection[str] = (),
) -> dict[Path, dict[str, Any]]:
    """Convert the policies of `checkpoint_dir` and write files and proofs.

    Parameters
    ----------
    checkpoint_dir
        See `read_checkpoint_dir`.
    output_dir
        Gets `policy.pkl` and `conversion.json`; for checkpoints of the PPO baselines
        `<policy_id>.pkl` and `<policy_id>.json`. Created when it does not exist.
    action_processor
        See `posggym_es.conversion.lossless.convert`; not for PPO policies.
    observations
        Observations to prove the conversion on, at least `MIN_OBSERVATIONS`.
    env_modules
        Modules that the environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.

    Returns
    -------
    dict
        The report of each policy file written. All proofs hold.

    Raises
    ------
    ConversionError
        If a policy cannot be expressed, a converted one acts differently, or there are
        too few observations to prove it. Nothing is written then.
    """
    if observations < MIN_OBSERVATIONS:
        raise ConversionError(
            f"{observations} observations prove too little; compare at least "
            f"{MIN_OBSERVATIONS}"
        )
    conversions = {}
    for name, policy in read_checkpoint_dir(checkpoint_dir, env_modules).items():
        try:
            conversions[name] = (
                _convert_ppo(policy, observations)
                if isinstance(policy, PPOPolicyData)
                else _convert(policy, action_processor, observations)
            )
        except ValueError as error:
            raise ConversionError(f"{checkpoint_dir}, {name}: {error}") from error
    written = {}
    for name, conversion in conversions.items():
        path = output_dir / f"{name}.pkl"
        write_bytes(path, conversion.data)
        report_name = REPORT_FILE if name == MODEL_NAME else f"{name}.json"
        write_json(output_dir / report_name, conversion.report)
        written[path] = conversion.report
    return written


def _convert(
    policy: SavedPolicy, action_processor: ProcessorSpec | None, observations: int
) -> Conversion:
    converted = convert(policy, action_processor)
    data = model_file_bytes(converted.model)
    made = contextlib.closing(registered_env(policy).make())
    with made as env, _written(data) as file:
        agent = policy.metadata.role or env.possible_agents[0]
        check_fits(policy, env, agent)
        loaded = PPOPolicy.load_from_path(
            env.model,
            agent,
            "proof",
            file,
            deterministic=True,
            obs_processor_cls=getattr(processors, converted.obs_processor.name),
            obs_processor_config=converted.obs_processor.config,
            action_processor_cls=getattr(processors, converted.action_processor.name),
            action_processor_config=converted.action_processor.config,
        )
        proof = prove(policy, loaded, env, observations)
    if not proof.holds:
        raise ConversionError(
            f"the converted policy acts differently from the trained one: {proof}; "
            "float32 cannot hold this policy"
        )
    return Conversion(
        data,
        conversion_report(
            data,
            converted.obs_processor,
            converted.action_processor,
            dataclasses.asdict(proof),
        ),
    )


def _convert_ppo(policy: PPOPolicyData, observations: int) -> Conversion:
    data = model_file_bytes(ppo_policies.to_posggym(policy))
    made = contextlib.closing(registered_env(policy).make())
    with made as env, _written(data) as file:
        agent = policy.metadata.role or env.possible_agents[0]
        count, difference = ppo_policies.prove(policy, file, env, agent, observations)
        original = ppo_policies.ReferenceAgent(policy, env.model, agent)
    if difference > ppo_policies.TOLERANCE:
        raise ConversionError(
            "the converted policy acts with other probabilities than the original one: "
            f"they differ by {difference:.1e}; float32 cannot hold this policy"
        )
    proof = {
        "observations": count,
        "max_difference": difference,
        "tolerance": ppo_policies.TOLERANCE,
    }
    return Conversion(
        data,
        conversion_report(
            data,
            ProcessorSpec(*original.obs_processor),
            ProcessorSpec(*original.action_processor),
            proof,
        ),
    )


@contextlib.contextmanager
def _written(data: bytes) -> Iterator[Path]:
    """Write a policy file: POSGGym's own loader, which proofs use, reads files."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{MODEL_NAME}.pkl"
        file.write_bytes(data)
        yield file
