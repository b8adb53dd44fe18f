"""Parsing of the settings on the trainer's command line, as plain data.

Sacred decodes settings with jsonpickle and config files also with pickle, and both can
be made to execute code. So this module parses the settings first, and passes only
literals on to Sacred.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgpelib.foreign.config_text import MAX_DEPTH, read_config_file
from pgpelib.training.config import TrainingConfig, with_own_names
from pgpelib.training.run_folder import read_identity
from pgpelib.utils.plain_data import plain
from pgpelib.utils.settings import has_no_limit


class ScriptSettings(TrainingConfig):
    """`TrainingConfig`, plus settings of the script that do not affect results."""

    tensorboard: bool = False
    """Also write TensorBoard's event files."""
    run_dir: str | None = None
    """Folder of the run; an interrupted run resumes from it."""


# For these, "no limit" is -1 instead of None, or Sacred would warn of a changed type.
_LIMITS = [
    name for name, field in ScriptSettings.model_fields.items() if has_no_limit(field)
]
# What Sacred shows next to the values.
DESCRIPTIONS = {
    name: " ".join((field.description or "").split()).split(". ")[0].rstrip(".")
    for name, field in ScriptSettings.model_fields.items()
}
# Excludes jsonpickle's tags, and characters special to databases and dotted paths.
_KEY = re.compile(r"[\w -]+")


def read_settings(updates: Sequence[str]) -> dict[str, Any]:
    """Parse the settings given on a command line.

    Parameters
    ----------
    updates
        The arguments after `with`: `NAME=VALUE`, where the value is a Python literal or
        text; `NAME.KEY=VALUE` for a key of a mapping; and YAML or JSON files, whose
        settings the other arguments override.

    Returns
    -------
    dict
        Plain data (JSON types), keyed by the names of `ScriptSettings`. Without a seed,
        an existing run folder's seed is used. "No limit" is -1, not None, and partners
        with weights are lists of pairs.

    Raises
    ------
    ValueError
        If a setting is unknown, invalid or not plain data, or a file cannot be read.
    """
    settings: dict[str, Any] = {}
    for update in updates:
        if "=" not in update:
            settings |= read_config_file(Path(update))
    for update in updates:
        path, assigned, text = update.partition("=")
        if assigned:
            _assign(settings, path.strip(), _literal(path, text.strip()))
    settings = _with_pairs(settings)
    for name, value in settings.items():
        _check(value, name)
    settings = {name: plain(value, name) for name, value in settings.items()}
    settings = _with_limits(with_own_names(settings))
    ScriptSettings.from_dict(without_pairs(settings))
    if settings.get("run_dir") is not None and settings.get("seed") is None:
        identity = read_identity(Path(str(settings["run_dir"])))
        if identity is not None:
            settings["seed"] = identity.seed
    return settings


def defaults_beside(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of all settings, for Sacred.

    Parameters
    ----------
    given
        Settings given by the user, which other settings' defaults may depend on.

    Returns
    -------
    dict
        Plain data (JSON types), keyed by the names of `ScriptSettings`; given settings
        have their default value, too. The seed is missing: Sacred adds its own.

    Raises
    ------
    SettingsError
        If the given settings are invalid.
    """
    plain_defaults = ScriptSettings().to_dict()
    values = ScriptSettings.from_dict(without_pairs(given)).to_dict()
    values |= {name: plain_defaults[name] for name in values if name in given}
    del values["seed"]
    # Sacred warns of changed types and of new keys.
    if isinstance(given.get("partners"), str):
        values["partners"] = ""
    values["env_config"] = given.get("env_config", {})
    return _with_limits(values)


def _with_limits(settings: dict[str, Any]) -> dict[str, Any]:
    absent = {name: -1 for name in _LIMITS if settings.get(name, -1) is None}
    return settings | absent


def _with_pairs(settings: dict[str, Any]) -> dict[str, Any]:
    """Write partners with weights as pairs: Sacred takes keys apart at their dots."""
    partners = settings.get("partners")
    if isinstance(partners, dict):
        settings = settings | {"partners": [[*pair] for pair in partners.items()]}
    return settings


def without_pairs(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of `read_settings` with partners as `TrainingConfig` has them."""
    partners = settings.get("partners")
    if isinstance(partners, list) and partners and all(map(_is_pair, partners)):
        return {**settings, "partners": dict(partners)}
    return dict(settings)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def as_updates(settings: Mapping[str, Any]) -> list[str]:
    """Format settings as `NAME=LITERAL` arguments, the inverse of `read_settings`."""
    return [f"{name}={value!r}" for name, value in settings.items()]


def _check(value: Any, name: str, levels: int = MAX_DEPTH) -> None:
    """Reject values that a config file could not contain either."""
    if levels < 0:
        raise ValueError(f"{name}: nested too deeply")
    if isinstance(value, dict):
        for key, part in value.items():
            if not (isinstance(key, str) and _KEY.fullmatch(key)):
                raise ValueError(f"{name}: {key!r} cannot be a key")
            _check(part, f"{name}.{key}", levels - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, name, levels - 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: {value} is not a finite number")


def _assign(settings: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        settings = settings.setdefault(parent, {})
        if not isinstance(settings, dict):
            raise ValueError(f"{path}: {parent} is not a mapping")
    settings[name] = value


def _literal(name: str, text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    except (RecursionError, MemoryError) as error:
        raise ValueError(f"{name}: nested too deeply") from error
