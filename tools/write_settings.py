#!/usr/bin/env python
"""Generate the config's schema and the documentation's tables from the settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import yaml
from pydantic.fields import FieldInfo

from pgpelib.utils.settings import Settings, fields_by_key
from posggym_es.config.populations import PopulationSettings
from posggym_es.config.settings import ExperimentSettings, WorkflowConfig
from posggym_es.config.training_settings import ExperimentTraining

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = "config/schemas/config.schema.yaml"
REFERENCE = "docs/config.md"
HEADER = "# Written by tools/write_settings.py (make settings) from the models.\n"
END = "<!-- end of settings -->"
TABLES = (WorkflowConfig, ExperimentSettings, PopulationSettings, ExperimentTraining)


def schema_text() -> str:
    """Return the JSON schema of the config."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_without_noise(WorkflowConfig.model_json_schema(mode="validation")),
    }
    return HEADER + yaml.safe_dump(schema, sort_keys=False, width=88)


def _without_noise(value: Any, names: bool = False) -> Any:
    """Drop titles, which repeat names, and line breaks in descriptions.

    Parameters
    ----------
    value
        A schema, or a part of one.
    names
        Whether the keys of a mapping are names of settings.
    """
    if isinstance(value, list):
        return [_without_noise(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {
        key: _without_noise(inner, names=key in ("properties", "$defs"))
        for key, inner in value.items()
        if names or key != "title"
    }
    if not names and "description" in plain:
        plain["description"] = " ".join(plain["description"].split())
    return plain


def table(model: type[Settings], known: set[type[Settings]]) -> str:
    """Return the Markdown table of a model's settings.

    Parameters
    ----------
    model
        The model.
    known
        Models that need no rows, because earlier tables have them. Those that this one
        has are added.
    """
    rows = list(_rows(model, "", frozenset(known), known))
    lines = ["| Key | Meaning | Default |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _rows(
    model: type[Settings],
    prefix: str,
    known: frozenset[type[Settings]],
    shown: set[type[Settings]],
) -> Iterator[str]:
    for name, field in fields_by_key(model).items():
        text = " ".join((field.description or "").split()).replace("|", "\\|")
        yield f"| `{prefix}{name}` | {text.rstrip('.')} | {_default(field)} |"
        inner = _model_in(field.annotation)
        if inner is not None and not issubclass(inner, (*TABLES, *known)):
            shown.add(inner)
            yield from _rows(inner, f"{prefix}{name}.", known, shown)


def _default(field: FieldInfo) -> str:
    """Return a default as Markdown."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "x-default" in extra:
        return f"`{extra['x-default']}`"
    if field.is_required():
        # What is in it may be required; it need not be said twice.
        return "" if _model_in(field.annotation) else "required"
    value = field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if value == "" or isinstance(value, Settings):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _model_in(annotation: Any) -> type[Settings] | None:
    """Return the model of an optional value."""
    alternatives = get_args(annotation) if NoneType in get_args(annotation) else ()
    for part in (annotation, *alternatives):
        if isinstance(part, type) and issubclass(part, Settings):
            return part
    return None


def reference_text(text: str) -> str:
    """Return a document with new tables between their marks.

    Raises
    ------
    ValueError
        If the document lacks the marks of a table.
    """
    known: set[type[Settings]] = set()
    for model in TABLES:
        begin = f"<!-- settings: {model.__name__} -->\n"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(END)
        if not (found and closed):
            raise ValueError(f"{REFERENCE}: missing {begin.strip()} or {END} after it")
        text = f"{before}{begin}\n{table(model, known)}\n{END}{after}"
    return text


def outdated() -> dict[str, str]:
    """Return the new texts of outdated files, by path."""
    reference = (ROOT / REFERENCE).read_text(encoding="utf-8")
    texts = {SCHEMA: schema_text(), REFERENCE: reference_text(reference)}
    return {
        path: text
        for path, text in texts.items()
        if (ROOT / path).read_text(encoding="utf-8") != text
    }


def main() -> None:
    """Write the files that are outdated."""
    for path, text in outdated().items():
        (ROOT / path).write_text(text, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
