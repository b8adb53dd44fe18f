"""Policy files written by training: pickles of builtins and NumPy arrays only."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pgpelib.foreign.safe_pickle import PLAIN_NAMES, read_file, safe_load
from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.networks import LSTM, Layer
from pgpelib.policies.partners import Partners, is_saved, renamed, standard_name
from pgpelib.policies.policy import ActionSpec, SavedPolicy
from pgpelib.utils.files import write_bytes
from pgpelib.utils.plain_data import is_line, plain

FORMAT = "pgpelib-policy"
FORMAT_VERSION = 1
# The processors of POSGGym that training uses.
PROCESSORS = ["IdentityProcessor", "FlattenProcessor", "RescaleProcessor"]


def policy_file_name(
    date: str, env_name: str, pid: int, generation: int, role: str | None = None
) -> str:
    """Return `<date>_<env>_<pid>_iter<N>.pickle`, the original trainer's file name.

    With a role, it has `_agent<role>` before the generation.
    """
    agent = "" if role is None else f"_agent{role}"
    return f"{date}_{env_name.rpartition(':')[2]}_{pid}{agent}_iter{generation}.pickle"


def save_policy(policy: SavedPolicy, path: Path) -> None:
    """Write a policy file atomically; `pgpelib.restore.load_policy` reads it."""
    write_bytes(path, pickle.dumps(to_plain(policy), protocol=4))


def to_plain(policy: SavedPolicy) -> dict[str, Any]:
    """Return the policy as builtins and NumPy arrays."""
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "layers": [tuple(map(np.asarray, layer)) for layer in policy.layers],
        "activation": policy.activation,
        "obs_mean": policy.obs_mean,
        "obs_stdev": policy.obs_stdev,
        "action": {
            "kind": policy.action.kind,
            "low": policy.action.low,
            "high": policy.action.high,
            "n": policy.action.n,
        },
        "env_name": policy.env_name,
        "env_config": policy.env_config,
        "obs_processor": policy.obs_processor,
        "action_processor": policy.action_processor,
        "notes": policy.metadata.to_notes(),
    }


def load_saved(path: Path) -> SavedPolicy:
    """Read a policy file of this project, see `pgpelib.restore.load_policy`.

    Raises
    ------
    ValueError
        If the file is not one; the message names it.
    """
    try:
        data = safe_load(read_file(path), PLAIN_NAMES)
        if not isinstance(data, dict):
            raise ValueError("it is a pickle, but not of a policy")
        return from_plain(data).located(path.parent)
    except ValueError as error:
        raise ValueError(f"{path}: not a policy file: {error}") from error


def load_partners(partners: Partners) -> dict[str, SavedPolicy]:
    """Read the saved policies among partners, keyed by their paths.

    Raises
    ------
    ValueError
        If one is not a policy of this project; the message names the file.
    """
    return {name: load_saved(Path(name)) for name in partners if is_saved(name)}


def with_standard_names(
    partners: Partners, policies: Mapping[str, SavedPolicy]
) -> list[str] | dict[str, float]:
    """Return partners with the saved ones named by what they play.

    Parameters
    ----------
    partners
        The partners.
    policies
        What `load_partners` returned for them.
    """
    return renamed(
        partners,
        lambda name: standard_name(policies[name].digest) if name in policies else name,
    )


def from_plain(data: dict[str, Any]) -> SavedPolicy:
    """Inverse of `to_plain`.

    Raises
    ------
    ValueError
        If the data is not a policy of this format.
    """
    if data.get("format") != FORMAT or data.get("version") != FORMAT_VERSION:
        raise ValueError(
            f"not a {FORMAT} file of version {FORMAT_VERSION} "
            f"(format {data.get('format')!r}, version {data.get('version')!r})"
        )
    fields = {k: v for k, v in data.items() if k not in ("format", "version")}
    known = {field.name for field in dataclasses.fields(SavedPolicy)}
    known = known - {"metadata"} | {"notes"}
    missing = known - set(fields) - _ADDED_LATER
    unknown = set(fields) - known
    if missing or unknown:
        raise ValueError(
            f"the policy has {len(unknown)} unknown fields and lacks "
            f"{', '.join(sorted(missing)) or 'none'}"
        )
    action = fields["action"]
    if not isinstance(action, dict) or set(action) != {"kind", "low", "high", "n"}:
        raise ValueError("the action is not kind, low, high and n")
    metadata = PolicyMetadata.from_notes(fields.pop("notes", {}))
    return checked(
        SavedPolicy(
            **{
                **fields,
                "layers": _layers(fields["layers"]),
                "action": ActionSpec(**action),
                "metadata": metadata,
            }
        )
    )


# Fields that policies saved by earlier versions lack.
_ADDED_LATER = {"notes", "obs_processor", "action_processor"}


def _layers(layers: Any) -> list[Layer]:
    if not isinstance(layers, list):
        raise ValueError("the layers are not a list")
    result: list[Layer] = []
    for layer in layers:
        if not isinstance(layer, tuple) or len(layer) not in (2, 3):
            raise ValueError("a layer does not have two or three arrays")
        result.append(LSTM(*layer) if len(layer) == 3 else (layer[0], layer[1]))
    return result


def checked(policy: SavedPolicy) -> SavedPolicy:
    """Check the environment and processors of a policy from a file, and return it.

    These fields are used in paths, pages and command lines.

    Raises
    ------
    ValueError
        If a field is invalid; the message names it.
    """
    if not is_line(policy.env_name):
        raise ValueError(f"env_name {policy.env_name!r:.60} is not a name")
    if not isinstance(policy.env_config, dict):
        raise ValueError("env_config is not a dictionary")
    return dataclasses.replace(
        policy,
        env_config=plain(policy.env_config, "env_config"),
        obs_processor=_processor(policy.obs_processor, "obs_processor"),
        action_processor=_processor(policy.action_processor, "action_processor"),
    )


def _processor(value: Any, name: str) -> tuple[str, dict[str, Any]]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{name} is not a processor's name and its arguments")
    kind, config = value
    if kind not in PROCESSORS:
        raise ValueError(f"{name}: {str(kind)[:60]!r} is not one of {PROCESSORS}")
    if not isinstance(config, dict):
        raise ValueError(f"{name}: the arguments of {kind} are not a dictionary")
    return kind, plain(config, name)
