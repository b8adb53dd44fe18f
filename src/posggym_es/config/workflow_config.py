"""Reading the config of a workflow from plain data."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from posggym_es.config.settings import WorkflowConfig


def read_config(
    config: Mapping[str, Any], given: Mapping[str, Any] | None = None
) -> WorkflowConfig:
    """Return the settings that a config holds.

    Parameters
    ----------
    config
        What the config files and the command line say, merged. It is not changed:
        another workflow, which uses this one as a module, may have it, too.
    given
        The part of it that may be text for want of types, such as `false`, `4` or
        `null` from a command line; it is read as in a YAML file. The config may also be
        a part of a larger one that this is for.

    Raises
    ------
    SettingsError
        With a line for each mistake.
    """
    if given:
        config = _with_types(config, given)
    return WorkflowConfig.from_dict(config)


def _with_types(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Read text as YAML does, except where settings are text."""
    typed = copy.deepcopy(dict(config))
    places = list(_texts(given, ()))
    texts = {
        path: text
        for path, text in _texts(typed, ())
        if any(place[-len(path) :] == path and text == new for place, new in places)
    }
    for path, text in texts.items():
        _put(typed, path, _yaml_scalar(text))
    try:
        WorkflowConfig.model_validate(typed)
    except ValidationError as error:
        for mistake in error.errors():
            if mistake["loc"] in texts:
                _put(typed, mistake["loc"], texts[mistake["loc"]])
    return typed


def _texts(
    value: Any, path: tuple[str | int, ...]
) -> Iterable[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))


def _put(target: Any, path: Sequence[str | int], value: Any) -> None:
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value


def _yaml_scalar(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    plain = value is None or isinstance(value, bool | int | float)
    return value if plain else text
