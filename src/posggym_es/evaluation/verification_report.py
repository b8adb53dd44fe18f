"""Reports of verifications, as later steps read them: without POSGGym and PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pgpelib.policies.partners import located
from posggym_es.evaluation.file_names import EXTRACTED_FOLDER
from posggym_es.utils.schema_check import read_as, refuse_mistakes

_NUMBERS = {"type": "array", "minItems": 1, "items": {"type": "number"}}
_WHOLE_NUMBERS = {"type": "array", "minItems": 1, "items": {"type": "integer"}}
# The part of a report that other steps read.
_SCHEMA = {
    "type": "object",
    "required": ["returns", "lengths", "seeds", "company"],
    "properties": {
        "returns": _NUMBERS,
        # Reports of earlier versions have none.
        "random_returns": _NUMBERS,
        "lengths": _WHOLE_NUMBERS,
        "seeds": _WHOLE_NUMBERS,
        "company": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "role": {"type": ["string", "null"]},
                "partners": {
                    "anyOf": [
                        {"type": "array", "items": {"type": "string"}},
                        {"type": "object", "additionalProperties": {"type": "number"}},
                    ]
                },
                "siblings": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                },
                "endless_length": {"type": "integer", "minimum": 1},
            },
        },
    },
}


def read_verification(path: Path) -> dict[str, Any]:
    """Read the report on an agent from its folder.

    The fields are those of `posggym_es.evaluation.verification.Verification.to_json`.
    The saved partners are those of the extracted policy, which is next to the report.

    Raises
    ------
    ValueError
        If the file is not a verification report; the message names it.
    """

    def parse(data: Any) -> dict[str, Any]:
        refuse_mistakes(data, _SCHEMA)
        partners = data["company"].get("partners", [])
        partners = located(partners, path.parent / EXTRACTED_FOLDER)
        return {**data, "company": {**data["company"], "partners": partners}}

    return read_as(path, "not a verification report", parse)
