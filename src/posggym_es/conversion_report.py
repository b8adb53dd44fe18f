"""What is written beside a converted policy: its processors and the proof."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from posggym_es.schema_check import read_as, refuse_mistakes
from posggym_es.spec import ProcessorSpec

MODEL_NAME = "policy"
REPORT_FILE = "conversion.json"
# What others read of a report.
_SCHEMA = {"type": "object", "required": ["obs_processor", "action_processor"]}


def conversion_report(
    data: bytes,
    obs_processor: ProcessorSpec,
    action_processor: ProcessorSpec,
    proof: dict[str, Any],
) -> dict[str, Any]:
    """Return the report on a policy file of these bytes."""
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "obs_processor": dataclasses.asdict(obs_processor),
        "action_processor": dataclasses.asdict(action_processor),
        "proof": proof,
    }


def read_processors(output_dir: Path) -> tuple[ProcessorSpec, ProcessorSpec]:
    """Return the processors (observation, action) that a file was converted for.

    Raises
    ------
    ValueError
        If the report is missing or damaged; the message names it.
    """
    path = output_dir / REPORT_FILE
    return read_as(path, "no report of a conversion", _processors)


def _processors(report: Any) -> tuple[ProcessorSpec, ProcessorSpec]:
    refuse_mistakes(report, _SCHEMA)
    return (
        ProcessorSpec.from_json(report["obs_processor"]),
        ProcessorSpec.from_json(report["action_processor"]),
    )
