"""The settings on the trainer's command line, read as plain data.

Sacred reads them with jsonpickle and its config files also with pickle, both of which
execute what is written in the right way. Here they are read first, and Sacred is given
nothing but literals. The names of the original trainer are understood.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pgpelib.foreign.config_text import MAX_DEPTH, read_config_file
from pgpelib.training.config import TrainingConfig
from pgpelib.training.run_folder import read_identity
from pgpelib.utils.plain_data import is_integer, plain
from pgpelib.utils.settings import has_no_limit


class ScriptSettings(TrainingConfig):
    """`TrainingConfig`, and settings of the script that no run depends on."""

    tensorboard: bool = False
    """Also write TensorBoard's event files."""
    run_dir: str | None = None
    """Folder to work in, and to resume from after an interruption."""


# Where no limit is -1 and not None: Sacred warns of another type otherwise.
_LIMITS = [
    name for name, field in ScriptSettings.model_fields.items() if has_no_limit(field)
]
# What Sacred shows beside the values.
DESCRIPTIONS = {
    name: " ".join((field.description or "").split()).split(". ")[0].rstrip(".")
    for name, field in ScriptSettings.model_fields.items()
}
# Neither jsonpickle's tags nor what databases and dotted paths read as something else.
_KEY = re.compile(r"[\w -]+")
# The original trainer's two settings for `hidden`, and their defaults.
_MAX_LAYERS = 1000
_ORIGINAL_LAYERS = {"hidden_size": 64, "num_hidden": 1}


def read_settings(updates: Sequence[str]) -> dict[str, Any]:
    """Return the settings that a command line gives.

    Parameters
    ----------
    updates
        What stands behind `with`: `NAME=VALUE`, where the value is a Python literal or
        text; `NAME.KEY=VALUE` for a key of a mapping; and YAML or JSON files, whose
        settings count less than those of the command line. `hidden_size`, `num_hidden`
        and the empty `re_eval_env_name` of the original trainer are understood.

    Returns
    -------
    dict
        Plain data (JSON types) by the names of `ScriptSettings`. A run folder without a
        seed beside it gives its own seed. No limit is -1 and not None, and partners
        with weights are pairs.

    Raises
    ------
    ValueError
        If a setting is unknown, makes no sense or is no plain data, or a file cannot be
        read.
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
    settings = _with_limits(_translated(settings))
    ScriptSettings.from_dict(without_pairs(settings))
    if settings.get("run_dir") is not None and settings.get("seed") is None:
        identity = read_identity(Path(str(settings["run_dir"])))
        if identity is not None:
            settings["seed"] = identity.seed
    return settings


def defaults_beside(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each setting of a run that is given some, for Sacred.

    Parameters
    ----------
    given
        Settings, which change those that follow from them.

    Returns
    -------
    dict
        Plain data (JSON types) by the names of `ScriptSettings`: defaults for what is
        given, too. Without the seed, which Sacred has itself.

    Raises
    ------
    SettingsError
        If the given settings make no sense.
    """
    plain_defaults = ScriptSettings().to_dict()
    values = ScriptSettings.from_dict(without_pairs(given)).to_dict()
    values |= {name: plain_defaults[name] for name in values if name in given}
    del values["seed"]
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
    """Return settings as `NAME=LITERAL`, the inverse of `read_settings`."""
    return [f"{name}={value!r}" for name, value in settings.items()]


def _check(value: Any, name: str, levels: int = MAX_DEPTH) -> None:
    """Refuse what no config file could say, too."""
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


def _translated(given: Mapping[str, Any]) -> dict[str, Any]:
    """Replace the original trainer's names and values by those of `TrainingConfig`."""
    settings = dict(given)
    layer_names = [name for name in _ORIGINAL_LAYERS if name in given]
    if layer_names and "hidden" in given:
        raise ValueError(f"hidden and {layer_names[0]} say the same: give one of them")
    if layer_names:
        layers = {
            name: settings.pop(name, default)
            for name, default in _ORIGINAL_LAYERS.items()
        }
        for name, value in layers.items():
            if not is_integer(value):
                raise ValueError(f"{name} must be a whole number, not {value!r}")
        size, number = layers.values()
        if number > _MAX_LAYERS:
            raise ValueError(f"num_hidden must be at most {_MAX_LAYERS}")
        settings["hidden"] = [size] * number if size > 0 else []
    if settings.get("re_eval_env_name") == "":
        # The very environment of training, which None is not for some.
        settings["re_eval_env_name"] = settings.get(
            "env_name", TrainingConfig().env_name
        )
    return settings
