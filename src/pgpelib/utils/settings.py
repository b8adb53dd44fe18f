"""Models of settings, and error messages in terms of the settings' keys.

A setting is a field of a `Settings` class: its annotation defines which values are
valid, and its docstring what they mean. Schemas, tables in the documentation and error
messages are derived from these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    ValidationError,
    WrapValidator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ValidatorFunctionWrapHandler
from typing_extensions import Self

from pgpelib.utils.hints import did_you_mean

Path = tuple[int | str, ...]

_LONGEST_VALUE = 200
_KINDS = {
    "int_type": "an integer",
    "float_type": "a finite number",
    "finite_number": "a finite number",
    "string_type": "a string",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
_NO_MISTAKE = "default_factory_not_called"


def _as_given(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Check a number without converting it: 5 and 5.0 have different digests."""
    check(value)
    return value


def _list_as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _no_limit(value: Any) -> Any:
    """Return None for -1, which means "no limit" in the original trainer."""
    return None if value == -1 and not isinstance(value, bool) else value


AS_TUPLE = BeforeValidator(_list_as_tuple)

# Kinds of values that a field may have. Pydantic puts them into the paths of mistakes.
LIST, MAPPING, FILE = "<list>", "<mapping>", "<file>"


def _kind_of(value: Any) -> str:
    if isinstance(value, str):
        return FILE
    return MAPPING if isinstance(value, dict) else LIST


LIST_OR_MAPPING_OR_FILE = Discriminator(_kind_of)

Text = Annotated[str, Field(min_length=1)]
PositiveInt = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
IntLimit = Annotated[
    PositiveInt | None,
    BeforeValidator(_no_limit, json_schema_input_type=PositiveInt | Literal[-1] | None),
]
Number = Annotated[float, WrapValidator(_as_given)]
PositiveNumber = Annotated[float, Field(gt=0), WrapValidator(_as_given)]
NotNegativeNumber = Annotated[float, Field(ge=0), WrapValidator(_as_given)]
# A factor in (0, 1].
DecayFactor = Annotated[float, Field(gt=0, le=1), WrapValidator(_as_given)]
NumberLimit = Annotated[
    PositiveNumber | None,
    BeforeValidator(
        _no_limit, json_schema_input_type=PositiveNumber | Literal[-1] | None
    ),
]


def has_no_limit(field: FieldInfo) -> bool:
    """Return whether a setting is a limit that accepts -1 for "no limit"."""
    return any(getattr(part, "func", None) is _no_limit for part in field.metadata)


def follows(setting: str, factor: float) -> Any:
    """Return a field whose default is a multiple of another field.

    Parameters
    ----------
    setting
        Name of a numeric field that is defined before this one.
    factor
        The multiplier; an integer if both fields are integers.
    """

    def default(values: dict[str, Any]) -> Any:
        return factor * values[setting]

    # For the documentation; JSON Schema ignores keys that it does not know.
    return Field(
        default_factory=default,
        json_schema_extra={"x-default": f"{factor} * {setting}"},
    )


class FieldError(ValueError):
    """A mistake in one key; its message is the key's path followed by `text`."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(f"{key} {text}")
        self.key = key
        self.text = text


class SettingsError(ValueError):
    """Invalid settings.

    Parameters
    ----------
    mistakes
        One line per mistake, which names the path of its key.
    """

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


class Settings(BaseModel):
    """Immutable settings, whose fields are the only valid keys.

    Numbers must be finite. Values are not converted, except for lists to tuples. The
    constructor raises Pydantic's `ValidationError`, which is a `ValueError`;
    `from_dict` raises `SettingsError` with readable messages.
    """

    model_config = ConfigDict(
        allow_inf_nan=False,
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
    )

    @classmethod
    def from_dict(cls, values: Any, path: Path = ()) -> Self:
        """Create settings from plain data.

        Parameters
        ----------
        values
            A mapping of keys to values.
        path
            Keys that lead to the mapping, for error messages.

        Raises
        ------
        SettingsError
            If settings are invalid, with one line per mistake.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(explain(error, cls, path)) from None

    def to_dict(self) -> dict[str, Any]:
        """Return all settings as plain data (JSON types)."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.model_dump(by_alias=True).items()
        }

    def given(self) -> dict[str, Any]:
        """Return the explicitly given settings as plain data (JSON types)."""
        return dict(_with_lists(self.model_dump(by_alias=True, exclude_unset=True)))


def _with_lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_lists(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_lists(inner) for inner in value]
    return value


def fields_by_key(model: Any) -> dict[str, FieldInfo]:
    """Return a model's fields, keyed as users write them; {} if it is not a model."""
    fields: dict[str, FieldInfo] = getattr(model, "model_fields", {})
    return {field.alias or name: field for name, field in fields.items()}


def explain(
    error: ValidationError, model: type[BaseModel], path: Path = ()
) -> list[str]:
    """Describe the mistakes that validation found, one line each.

    Parameters
    ----------
    error
        The error that the model's validation raised.
    model
        A model whose fields are values, models, or tuples and mappings of these. Unions
        are supported only with None, or as in `LIST_OR_MAPPING_OR_FILE`.
    path
        Keys that lead to the settings.

    Returns
    -------
    list of str
        Each line names the key with its path, what is wrong and what is allowed, and
        for an unknown key or choice the closest known one.
    """
    errors = error.errors(include_url=False)
    return [_line(each, model, path) for each in errors if each["type"] != _NO_MISTAKE]


def _line(error: ErrorDetails, model: type[BaseModel], path: Path) -> str:
    place = tuple(key for key in error["loc"] if key not in (LIST, MAPPING, FILE))
    kind, value = error["type"], error["input"]
    *parents, key = (*path, *place) or ("",)
    where = f"{_joined(parents)}: " if parents else ""
    if kind == "missing":
        return f"{where}missing required key {key!r}"
    if kind == "extra_forbidden":
        known = fields_by_key(_without_none(_annotation_at(model, place[:-1])))
        close = did_you_mean(str(key), known, repr)
        return f"{where}unknown key {key!r}" + (
            close or f"; known keys are {', '.join(sorted(known)) or 'none'}"
        )
    if key == "[key]":
        where = f"{_joined(parents[:-1])}: " if parents[:-1] else ""
        return f"{where}key {_shown(value)} {_demand(error, str)}"
    inner = error.get("ctx", {}).get("error")
    if isinstance(inner, FieldError):
        return f"{_joined((*path, *place, inner.key))} {inner.text}"
    demand = _demand(error, _annotation_at(model, place))
    if inner is None and demand != "must not be empty":
        demand += f", not {_shown(value)}{_hint(error)}"
    return f"{_joined((*path, *place))} {demand}".lstrip()


def _demand(error: ErrorDetails, annotation: Any) -> str:
    """Return what a value must be, for example "must be at least 1"."""
    kind, context = error["type"], error.get("ctx", {})
    null = " or null" if NoneType in get_args(annotation) else ""
    if kind in _KINDS:
        return f"must be {_KINDS[kind]}{null}"
    match kind:
        case "literal_error":
            return f"must be {context['expected']}"
        case "greater_than":
            return f"must be greater than {context['gt']:g}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}"
        case "multiple_of":
            factor = context["multiple_of"]
            return f"must be {'even' if factor == 2 else f'a multiple of {factor}'}"
        case "string_too_short" | "too_short" if context["min_length"] == 1:
            return "must not be empty"
        case "string_pattern_mismatch":
            return f"must match {context['pattern']}"
        case "value_error":
            return str(context["error"])
    return error["msg"]


def _hint(error: ErrorDetails) -> str:
    """Return a suggestion to append to the message, or ""."""
    value = error["input"]
    if not isinstance(value, str):
        return ""
    if error["type"] == "literal_error":
        choices = re.findall("'([^']*)'", error["ctx"]["expected"])
        return did_you_mean(value, choices, repr)
    match = re.fullmatch(r"([+-]?\d+)(\.\d*)?[eE]([+-]?)(\d+)", value)
    if error["type"] != "float_type" or match is None:
        return ""
    whole, fraction, sign, exponent = match.groups()
    number = f"{whole}{fraction or '.0'}e{sign or '+'}{exponent}"
    return f"; YAML reads it as text: write {number}"


def _annotation_at(model: type[BaseModel], place: Path) -> Any:
    """Return the annotation of the value at a path of keys; None if unknown."""
    annotation: Any = model
    for step in place:
        annotation = _without_none(annotation)
        if hasattr(annotation, "model_fields"):
            field = fields_by_key(annotation).get(str(step))
            if field is None:
                return None
            annotation = field.annotation
        elif get_origin(annotation) in (dict, tuple):
            # The type of a mapping's values, or of a tuple's items.
            arguments = [a for a in get_args(annotation) if a is not Ellipsis]
            annotation = arguments[-1]
        else:
            return None
    return annotation


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        first, *_ = (a for a in get_args(annotation) if a is not NoneType)
        return _without_none(first)
    return annotation


def _joined(path: Iterable[int | str]) -> str:
    return ".".join(map(str, path))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."
