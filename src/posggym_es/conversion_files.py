"""Converting a folder to a folder, with the proof beside the file."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from pathlib import Path

from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from pgpelib.files import read_json, write_bytes, write_json
from pgpelib.policies import SavedPolicy
from posggym_es.conversion import ConversionError, Proof, convert, prove
from posggym_es.environments import registered_env
from posggym_es.extraction import pick_policy
from posggym_es.policy_file import METADATA_FILE, read_policy
from posggym_es.posggym_model_file import model_file_bytes
from posggym_es.spec import ProcessorSpec

MODEL_FILE = "policy.pkl"
REPORT_FILE = "conversion.json"


def read_checkpoint_dir(folder: Path) -> SavedPolicy:
    """Read the policy of a folder: an extracted one, or the latest saved one."""
    if (folder / METADATA_FILE).exists():
        return read_policy(folder)
    if not folder.is_dir():
        raise ConversionError(f"{folder}: no such folder")
    return pick_policy(folder, "latest")[1]


def convert_folder(
    checkpoint_dir: Path,
    output_dir: Path,
    action_processor: ProcessorSpec | None = None,
    observations: int = 1000,
) -> Proof:
    """Convert the policy of `checkpoint_dir` and write file and proof.

    Parameters
    ----------
    checkpoint_dir
        See `read_checkpoint_dir`.
    output_dir
        Gets `policy.pkl` and `conversion.json`; created when it does not exist.
    action_processor
        See `posggym_es.conversion.convert`.
    observations
        See `posggym_es.conversion.prove`.

    Returns
    -------
    Proof
        It holds.

    Raises
    ------
    ConversionError
        If the policy cannot be expressed, or the converted one acts differently.
        Nothing is written then.
    """
    policy = read_checkpoint_dir(checkpoint_dir)
    converted = convert(policy, action_processor)
    data = model_file_bytes(converted.model)
    env = registered_env(policy).make()
    with tempfile.TemporaryDirectory() as folder:
        # POSGGym loads from a file; prove with its own loader, on the final bytes.
        file = Path(folder) / MODEL_FILE
        file.write_bytes(data)
        loaded = PPOPolicy.load_from_path(
            env.model,
            policy.notes.get("role") or env.possible_agents[0],
            "proof",
            file,
            deterministic=True,
            obs_processor_cls=getattr(processors, converted.obs_processor.name),
            obs_processor_config=converted.obs_processor.config,
            action_processor_cls=getattr(processors, converted.action_processor.name),
            action_processor_config=converted.action_processor.config,
        )
        proof = prove(policy, loaded, env, observations)
    env.close()
    if not proof.holds:
        raise ConversionError(
            f"{checkpoint_dir}: the converted policy acts differently from the trained "
            f"one: {proof}; float32 cannot hold this policy"
        )
    write_bytes(output_dir / MODEL_FILE, data)
    write_json(
        output_dir / REPORT_FILE,
        {
            "sha256": hashlib.sha256(data).hexdigest(),
            "obs_processor": dataclasses.asdict(converted.obs_processor),
            "action_processor": dataclasses.asdict(converted.action_processor),
            "proof": dataclasses.asdict(proof),
        },
    )
    return proof


def read_processors(output_dir: Path) -> tuple[ProcessorSpec, ProcessorSpec]:
    """Return the processors (observation, action) that a file was converted for."""
    report = read_json(output_dir / REPORT_FILE)
    return (
        ProcessorSpec(**report["obs_processor"]),
        ProcessorSpec(**report["action_processor"]),
    )
