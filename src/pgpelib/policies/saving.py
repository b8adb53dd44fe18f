"""The policy files that training writes: pickles that name nothing but NumPy arrays."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pgpelib.policies.networks import LSTM, Layer
from pgpelib.policies.policy import ActionSpec, SavedPolicy
from pgpelib.utils.files import write_bytes
from pgpelib.utils.plain_data import is_integer, is_line, plain

FORMAT = "pgpelib-policy"
FORMAT_VERSION = 1
# POSGGym's, which policies are trained with.
PROCESSORS = ["IdentityProcessor", "FlattenProcessor", "RescaleProcessor"]


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
    known = {field.name for field in dataclasses.fields(SavedPolicy)}
    missing = known - set(fields) - _ADDED_LATER
    unknown = set(fields) - known
    if missing or unknown:
        raise ValueError(
            f"the policy lacks {', '.join(sorted(missing)) or 'nothing'} and has "
            f"{len(unknown)} unknown fields"
        )
    action = fields["action"]
    if not isinstance(action, dict) or set(action) != {"kind", "low", "high", "n"}:
        raise ValueError("the action is not kind, low, high and n")
    return checked(
        SavedPolicy(
            **{
                **fields,
                "layers": _layers(fields["layers"]),
                "action": ActionSpec(**action),
            }
        )
    )


# Policies saved by earlier versions lack them.
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
    """Return a policy whose fields other than the weights are what they should be.

    For policies from files: those fields end up in paths, pages and command lines.

    Raises
    ------
    ValueError
        If one is of another type; the message names it.
    """
    if not is_line(policy.env_name):
        raise ValueError(f"the environment's name is {policy.env_name!r:.60}")
    if not isinstance(policy.env_config, dict):
        raise ValueError("env_config is not a dictionary")
    return dataclasses.replace(
        policy,
        env_config=plain(policy.env_config, "env_config"),
        obs_processor=_processor(policy.obs_processor, "obs_processor"),
        action_processor=_processor(policy.action_processor, "action_processor"),
        notes=checked_notes(policy.notes),
    )


def _processor(value: Any, name: str) -> tuple[str, dict[str, Any]]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{name} is not the name of a processor and its arguments")
    kind, config = value
    if kind not in PROCESSORS:
        raise ValueError(f"{name}: {str(kind)[:60]!r} is not one of {PROCESSORS}")
    if not isinstance(config, dict):
        raise ValueError(f"{name}: the arguments of {kind} are not a dictionary")
    return kind, plain(config, name)


def checked_notes(notes: Any) -> dict[str, Any]:
    """Return the notes of a policy as plain data.

    Raises
    ------
    ValueError
        If they are not a dictionary of plain data, or one that later steps use is of
        another type; the message names it.
    """
    if not isinstance(notes, dict):
        raise ValueError("the notes are not a dictionary")
    result: dict[str, Any] = plain(notes, "notes")
    for name, (is_valid, what) in _NOTES.items():
        value = result.get(name)
        if value is not None and not is_valid(value):
            raise ValueError(f"notes.{name} is not {what}")
    config = result.get("config") or {}
    if "partners" in config and not _are_lines(config["partners"]):
        raise ValueError("notes.config.partners is not a list of policy ids")
    return result


def _is_count(value: Any) -> bool:
    return is_integer(value) and value >= 0


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(number, int | float) and not isinstance(number, bool)
        for number in value
    )


def _are_lines(value: Any) -> bool:
    return isinstance(value, list) and all(is_line(item) for item in value)


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _are_numbers(value.get("returns"))
        and _are_numbers(value.get("seeds"))
        and len(value["returns"]) == len(value["seeds"])
    )


_COUNT = _is_count, "a count"
_LINE = is_line, "text of one line"
# What steps after training read from the notes, where it is there.
_NOTES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "generation": _COUNT,
    "timesteps": _COUNT,
    "seed": _COUNT,
    "update": _COUNT,
    "role": _LINE,
    "commit": _LINE,
    "algorithm": _LINE,
    "policy_id": _LINE,
    "re_eval_env_name": _LINE,
    "re_eval_returns": (_are_numbers, "a list of numbers"),
    "partners": (_are_lines, "a list of policy ids"),
    "config": (lambda value: isinstance(value, dict), "a dictionary"),
    "reference": (_is_reference, "returns and as many seeds"),
}
