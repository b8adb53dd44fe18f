"""Extracted policies: safetensors for the numbers, JSON for everything else.

Neither format can execute anything, and both are read by other tools. The folder holds
`policy.safetensors` and `policy.json`; the JSON names the SHA-256 of the tensors, so
that the two cannot be mixed up.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.networks import LSTM, Layer
from pgpelib.policies.policy import ActionSpec, SavedPolicy
from pgpelib.policies.saving import checked
from pgpelib.utils.files import read_json, write_bytes, write_json
from pgpelib.utils.plain_data import is_integer, is_line
from posggym_es.models.ppo_data import PPOPolicyData
from posggym_es.policies.policy_checks import check_modules

FORMAT = "posggym-es-policy"
PPO_FORMAT = "posggym-es-ppo-policy"
FORMAT_VERSION = 1
TENSORS_FILE = "policy.safetensors"
METADATA_FILE = "policy.json"


def write_policy(policy: SavedPolicy, folder: Path) -> None:
    """Write a policy to `folder`, the same bytes for the same policy."""
    tensors: dict[str, np.ndarray] = {}
    for number, layer in enumerate(policy.layers):
        names = LSTM._fields if isinstance(layer, LSTM) else ("weight", "bias")
        for name, array in zip(names, layer, strict=True):
            tensors[f"layers.{number}.{name}"] = np.ascontiguousarray(array)
    optional = {
        "obs_mean": policy.obs_mean,
        "obs_stdev": policy.obs_stdev,
        "action_low": policy.action.low,
        "action_high": policy.action.high,
    }
    tensors |= {
        name: np.ascontiguousarray(value, dtype=np.float64)
        for name, value in optional.items()
        if value is not None
    }
    metadata = {
        "num_layers": len(policy.layers),
        "activation": policy.activation,
        "action": {"kind": policy.action.kind, "n": policy.action.n},
        "env_name": policy.env_name,
        "env_config": policy.env_config,
        "obs_processor": policy.obs_processor,
        "action_processor": policy.action_processor,
        "notes": policy.metadata.to_notes(),
    }
    _write(folder, FORMAT, tensors, metadata)


def write_ppo_policy(policy: PPOPolicyData, folder: Path) -> None:
    """Write a PPO policy to `folder`, the same bytes for the same policy."""
    fields = {
        field.name: getattr(policy, field.name) for field in dataclasses.fields(policy)
    }
    tensors, known = fields.pop("weights"), fields.pop("metadata")
    _write(folder, PPO_FORMAT, tensors, {**fields, "notes": known.to_notes()})


def _write(
    folder: Path,
    file_format: str,
    tensors: dict[str, np.ndarray],
    metadata: dict[str, Any],
) -> None:
    data = save_tensors(tensors)
    write_bytes(folder / TENSORS_FILE, data)
    write_json(
        folder / METADATA_FILE,
        {
            "format": file_format,
            "version": FORMAT_VERSION,
            "tensors_sha256": hashlib.sha256(data).hexdigest(),
            **metadata,
        },
    )


def read_policy(
    folder: Path, env_modules: Collection[str] = ()
) -> SavedPolicy | PPOPolicyData:
    """Read what `write_policy` or `write_ppo_policy` wrote.

    Parameters
    ----------
    folder
        Holds `policy.safetensors` and `policy.json`, maybe somebody else's.
    env_modules
        Modules that the policy's environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.

    Raises
    ------
    ValueError
        If a file is missing, damaged or does not belong to the other, or the
        environment is in another module; the message names the file.
    """
    policy = _read(folder)
    try:
        check_modules(policy, env_modules)
    except ValueError as error:
        raise ValueError(f"{folder / METADATA_FILE}: {error}") from error
    return policy


def read_metadata(folder: Path) -> PolicyMetadata:
    """Return what is known about a policy, for steps that play nothing with it.

    Raises
    ------
    ValueError
        As in `read_policy`, but for the environment.
    """
    return _read(folder).metadata


def _read(folder: Path) -> SavedPolicy | PPOPolicyData:
    metadata_path, tensors_path = folder / METADATA_FILE, folder / TENSORS_FILE
    for path in (metadata_path, tensors_path):
        if not path.is_file():
            raise ValueError(f"{path}: no such file")
    metadata = read_json(metadata_path)
    if not isinstance(metadata, dict) or metadata.get("format") not in (
        FORMAT,
        PPO_FORMAT,
    ):
        raise ValueError(f"{metadata_path}: not a {FORMAT} file")
    if metadata.get("version") != FORMAT_VERSION:
        raise ValueError(
            f"{metadata_path}: version {metadata.get('version')} of the format; "
            f"this program reads version {FORMAT_VERSION}"
        )
    data = tensors_path.read_bytes()
    if hashlib.sha256(data).hexdigest() != metadata.get("tensors_sha256"):
        raise ValueError(
            f"{tensors_path}: its SHA-256 is not the one in {metadata_path.name}"
        )
    try:
        assemble = _assemble if metadata["format"] == FORMAT else _assemble_ppo
        return assemble(metadata, load_tensors(data))
    except (KeyError, TypeError, SafetensorError) as error:
        raise ValueError(f"{metadata_path}: incomplete or damaged: {error}") from error
    except ValueError as error:
        raise ValueError(f"{metadata_path}: {error}") from error


def _assemble(metadata: dict[str, Any], tensors: dict[str, np.ndarray]) -> SavedPolicy:
    action, number = metadata["action"], metadata["num_layers"]
    if not isinstance(action, dict) or not is_integer(number) or number > len(tensors):
        raise ValueError("action or num_layers are not those of a policy")
    return checked(
        SavedPolicy(
            layers=[_layer(tensors, layer) for layer in range(number)],
            activation=metadata["activation"],
            obs_mean=tensors.get("obs_mean"),
            obs_stdev=tensors.get("obs_stdev"),
            action=ActionSpec(
                action["kind"],
                tensors.get("action_low"),
                tensors.get("action_high"),
                action["n"],
            ),
            env_name=metadata["env_name"],
            env_config=metadata["env_config"],
            obs_processor=metadata["obs_processor"],
            action_processor=metadata["action_processor"],
            metadata=PolicyMetadata.from_notes(metadata["notes"]),
        )
    )


def _layer(tensors: dict[str, np.ndarray], number: int) -> Layer:
    prefix = f"layers.{number}."
    if f"{prefix}weight_hh" in tensors:
        return LSTM(*(tensors[prefix + name] for name in LSTM._fields))
    return tensors[f"{prefix}weight"], tensors[f"{prefix}bias"]


def _assemble_ppo(
    metadata: dict[str, Any], tensors: dict[str, np.ndarray]
) -> PPOPolicyData:
    about_file = ("format", "version", "tensors_sha256")
    fields = {k: v for k, v in metadata.items() if k not in about_file}
    known = PolicyMetadata.from_notes(fields.pop("notes", {}))
    policy = PPOPolicyData(tensors, **fields, metadata=known)
    if not is_line(policy.env_name) or not isinstance(policy.env_config, dict):
        raise ValueError("env_name or env_config are not those of a policy")
    return policy
