"""The policy files that training writes: pickles that name nothing but NumPy arrays."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from pgpelib.files import write_bytes
from pgpelib.networks import LSTM
from pgpelib.policies import ActionSpec, SavedPolicy

FORMAT = "pgpelib-policy"
FORMAT_VERSION = 1


def policy_file_name(
    date: str, env_name: str, pid: int, generation: int, role: str | None = None
) -> str:
    """Return `<date>_<env>_<pid>_iter<N>.pickle`, as the original trainer names it.

    The policy of one agent id of several has `_agent<id>` before the generation.
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
        "notes": policy.notes,
    }


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
    try:
        layers = [
            LSTM(*layer) if len(layer) == 3 else tuple(layer)
            for layer in fields["layers"]
        ]
        action = ActionSpec(**fields["action"])
        return SavedPolicy(**{**fields, "layers": layers, "action": action})
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"the policy file lacks or has unknown fields: {error}"
        ) from error
