"""Validation of JSON data against schemas, with readable error messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jsonschema import Draft202012Validator, ValidationError, validators

from pgpelib.utils.files import read_json
from pgpelib.utils.hints import did_you_mean
from pgpelib.utils.plain_data import is_integer, is_number

T = TypeVar("T")

_TYPES = {
    "integer": "an integer",
    "number": "a finite number",
    "string": "a string",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


# Stricter than JSON Schema, which accepts 1.0 as an integer (ids and paths would show
# "1.0"). NaN and infinity are not valid JSON, but Python and YAML read them.
_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "number": lambda _, value: is_number(value),
            "integer": lambda _, value: is_integer(value),
        }
    ),
)


def refuse_mistakes(data: Any, schema: Mapping[str, Any]) -> None:
    """Validate data against a JSON schema.

    Parameters
    ----------
    data
        Content of a JSON file.
    schema
        JSON schema of the data. Numbers must also be finite, and integers written
        without a decimal point.

    Raises
    ------
    ValueError
        If the data are invalid, with all mistakes in one line. Each names the key, what
        is wrong and what is allowed, and for an unknown key the closest known one.
    """
    errors = _Validator(schema).iter_errors(data)
    mistakes = dict.fromkeys(line for error in errors for line in _explain(error))
    if mistakes:
        raise ValueError("; ".join(mistakes))


def read_as(path: Path, what: str, parse: Callable[[Any], T]) -> T:
    """Read and parse a JSON file.

    Parameters
    ----------
    path
        The file.
    what
        Part of the error message that says what the file is not.
    parse
        Converts the data; raises `ValueError` if they are invalid.

    Raises
    ------
    ValueError
        If the file is not JSON or the data are invalid; the message names the file.
    """
    data = read_json(path)
    try:
        return parse(data)
    except ValueError as error:
        raise ValueError(f"{path}: {what}: {error}") from error


def _explain(error: ValidationError) -> Iterable[str]:
    """Yield messages in the form of `pgpelib.utils.settings.explain`."""
    place = ".".join(map(str, error.absolute_path))
    where = f"{place}: " if place else ""
    rule, expected, value = error.validator, error.validator_value, error.instance
    if rule == "additionalProperties":
        known = error.schema.get("properties", {})
        for key in sorted(set(value) - set(known)):
            close = did_you_mean(key, known, repr)
            others = f"; known keys are {', '.join(sorted(known)) or 'none'}"
            yield f"{where}unknown key {key!r}{close or others}"
    elif rule == "required":
        for key in expected:
            if key not in value:
                yield f"{where}missing required key {key!r}"
    elif rule in ("minItems", "minLength") and expected == 1:
        yield f"{place} must not be empty".lstrip()
    else:
        yield f"{place} {_demand(rule, expected)}, not {value!r}{_hint(error)}".lstrip()


def _demand(rule: str, expected: Any) -> str:
    """Return what a value must be, for example "must be at least 1"."""
    match rule:
        case "enum":
            return f"must be {_either(map(repr, expected))}"
        case "type":
            names = [expected] if isinstance(expected, str) else expected
            return f"must be {_either(_TYPES[name] for name in names)}"
        case "minimum":
            return f"must be at least {expected}"
        case "pattern":
            return f"must match {expected}"
    raise NotImplementedError(f"no message for {rule!r} of JSON Schema")


def _either(choices: Iterable[str]) -> str:
    """Join choices as in "a, b or c"."""
    *first, last = choices
    return f"{', '.join(first)} or {last}" if first else last


def _hint(error: ValidationError) -> str:
    if error.validator != "enum":
        return ""
    return did_you_mean(str(error.instance), error.validator_value, repr)
