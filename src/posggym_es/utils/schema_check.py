"""Mistakes in configs and JSON files that their schemas find, in their users' words."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jsonschema import Draft202012Validator, ValidationError, validators

from pgpelib.utils.files import read_json
from pgpelib.utils.hints import did_you_mean
from pgpelib.utils.plain_data import is_integer, is_number

T = TypeVar("T")

_TYPES = {
    "integer": "a whole number",
    "number": "a finite number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping of keys to values",
    "null": "null",
}


def _pattern(
    _validator: Any, pattern: str, value: Any, _schema: Any
) -> Iterator[ValidationError]:
    """Check a pattern as JSON Schema means it: in Python `$` ignores a last newline."""
    python = re.sub(r"(?<!\\)\$\Z", r"\\Z", pattern)
    if isinstance(value, str) and not re.search(python, value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


# JSON Schema takes 1.0 for a whole number, which ids and paths would show as "1.0", and
# JSON has neither NaN nor infinity, which Python's reader and YAML do have.
_Validator = validators.extend(
    Draft202012Validator,
    validators={"pattern": _pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "number": lambda _, value: is_number(value),
            "integer": lambda _, value: is_integer(value),
        }
    ),
)


def mistakes_in(data: Any, schema: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with data, one line for each mistake.

    Parameters
    ----------
    data
        What stands in a YAML or JSON file.
    schema
        Its JSON schema; its numbers are finite, and its integers have no point.

    Returns
    -------
    list of str
        Each names the key, what is wrong, and what is allowed; for an unknown key the
        closest known one. Empty if the data are valid.
    """
    lines: list[str] = []
    for error in _Validator(schema).iter_errors(data):
        lines += _explain(error)
    return list(dict.fromkeys(lines))


def read_as_yaml(
    config: dict[str, Any], given: Mapping[str, Any], schema: Mapping[str, Any]
) -> None:
    """Give text in a config the types that it would have in a YAML file.

    Parameters
    ----------
    config
        The config; changed in place.
    given
        The part of it that may be text for want of types, such as `false`, `4` or
        `null` from a command line. Text stays where the schema wants text. The config
        may also be a part of a larger one that this is for.
    schema
        The config's JSON schema.
    """
    places = list(_texts(given, ()))
    texts = {
        path: text
        for path, text in _texts(config, ())
        if any(place[-len(path) :] == path and text == new for place, new in places)
    }
    for path, text in texts.items():
        _put(config, path, _yaml_scalar(text))
    for path in list(_wrong_places(_Validator(schema).iter_errors(config))):
        if path in texts:
            _put(config, path, texts[path])


def with_defaults(data: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return data with the defaults of a schema where keys are missing.

    Parameters
    ----------
    data
        Data that fit the schema; not changed.
    schema
        A JSON schema. Defaults of named properties are filled in, also within those
        that the data have; what `$ref` and `additionalProperties` stand for is not
        looked at.
    """
    filled = dict(data)
    for key, inner in schema.get("properties", {}).items():
        if isinstance(filled.get(key), Mapping):
            filled[key] = with_defaults(filled[key], inner)
        elif "default" in inner:
            filled.setdefault(key, copy.deepcopy(inner["default"]))
    return filled


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


def _wrong_places(errors: Iterable[ValidationError]) -> Iterable[tuple[str | int, ...]]:
    for error in errors:
        yield tuple(error.absolute_path)
        # Where one of several schemas has to fit: what keeps each of them from it.
        yield from _wrong_places(error.context or ())


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


def refuse_mistakes(data: Any, schema: Mapping[str, Any]) -> None:
    """Refuse data with mistakes.

    Raises
    ------
    ValueError
        With all that `mistakes_in` finds, in one line.
    """
    mistakes = mistakes_in(data, schema)
    if mistakes:
        raise ValueError("; ".join(mistakes))


def read_as(path: Path, what: str, parse: Callable[[Any], T]) -> T:
    """Return what a JSON file holds.

    Parameters
    ----------
    path
        The file.
    what
        What is wrong with a file that holds something else.
    parse
        Makes the value of the data; raises `ValueError` for wrong ones.

    Raises
    ------
    ValueError
        If the file holds something else; the message names it.
    """
    data = read_json(path)
    try:
        return parse(data)
    except ValueError as error:
        raise ValueError(f"{path}: {what}: {error}") from error


def _explain(error: ValidationError) -> Iterable[str]:
    place = ".".join(map(str, error.absolute_path))
    where = f"{place}: " if place else ""
    rule, expected, value = error.validator, error.validator_value, error.instance
    if rule == "additionalProperties":
        known = error.schema.get("properties", {})
        for key in sorted(set(value) - set(known)):
            yield f"{where}{key!r} is not a key{did_you_mean(key, known, repr)}; " + (
                f"known are {', '.join(sorted(known)) or 'none'}"
            )
    elif rule == "required":
        missing = [key for key in expected if key not in value]
        yield f"{where}{', '.join(missing)} has to be given"
    elif rule == "dependentRequired":
        for key, needed in expected.items():
            missing = [name for name in needed if name not in value]
            if key in value and missing:
                yield f"{where}{key} needs {', '.join(missing)}, too"
    elif rule == "enum":
        choices = ", ".join(map(str, expected))
        hint = did_you_mean(str(value), map(str, expected), repr)
        yield f"{where}{value!r} is not one of {choices}{hint}"
    elif rule == "type":
        names = [expected] if isinstance(expected, str) else expected
        kinds = " or ".join(_TYPES[name] for name in names)
        hint = _as_yaml_number(value) if "number" in names else ""
        yield f"{where}{value!r} is not {kinds}{hint}"
    elif rule in ("minimum", "exclusiveMinimum"):
        least = "at least" if rule == "minimum" else "more than"
        yield f"{where}{value!r} has to be {least} {expected}"
    elif rule == "multipleOf":
        yield f"{where}{value!r} has to be a multiple of {expected}"
    elif rule in ("minItems", "minLength", "minProperties"):
        yield f"{where}has to have at least {expected}, not {len(value)}"
    elif rule == "pattern":
        # The schema says a name's pattern of the name itself.
        yield f"{where}{value!r} is not allowed; it has to match {expected}"
    else:
        yield f"{where}{error.message}"


def _as_yaml_number(value: Any) -> str:
    """Return how to write a number that YAML took for text, such as 1e-3."""
    if not isinstance(value, str):
        return ""
    match = re.fullmatch(r"([+-]?\d+)(\.\d*)?[eE]([+-]?)(\d+)", value)
    if match is None:
        return ""
    whole, fraction, sign, exponent = match.groups()
    number = f"{whole}{fraction or '.0'}e{sign or '+'}{exponent}"
    return f": YAML reads it as text; write {number}"
