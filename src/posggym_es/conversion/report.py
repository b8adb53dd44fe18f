"""What is written beside a converted policy: its processors and the proof."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from posggym_es.models.processors import ProcessorSpec
from posggym_es.sources.base import SINGLE_POLICY
from posggym_es.utils.schema_check import read_as, refuse_mistakes

MODEL_SUFFIX = ".pkl"
# Where a source holds a single policy.
MODEL_FILE = f"{SINGLE_POLICY}{MODEL_SUFFIX}"
REPORT_FILE = "conversion.json"
# What others read of a report.
_SCHEMA = {
    "type": "object",
    "required": ["obs_processor", "action_processor", "sha256"],
    "properties": {"sha256": {"type": "string"}},
}


@dataclasses.dataclass(frozen=True)
class ConvertedFile:
    """What a policy file was converted for.

    Parameters
    ----------
    obs_processor, action_processor
        The processors that it must be registered with.
    sha256
        Of the file, in hexadecimal.
    """

    obs_processor: ProcessorSpec
    action_processor: ProcessorSpec
    sha256: str


def report_file_of(name: str) -> str:
    """Return the name of the report on the policy of a name."""
    return REPORT_FILE if name == SINGLE_POLICY else f"{name}.json"


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


def read_conversion(output_dir: Path) -> ConvertedFile:
    """Return what the policy file in a folder was converted for.

    Raises
    ------
    ValueError
        If the report is missing or damaged, or the policy file is not the one that was
        proved; the message names it.
    """
    path, file = output_dir / REPORT_FILE, output_dir / MODEL_FILE
    converted = read_as(path, "no report of a conversion", _converted)
    if hashlib.sha256(file.read_bytes()).hexdigest() != converted.sha256:
        raise ValueError(
            f"{file}: changed since its conversion was proved: its SHA-256 is not the "
            f"one in {REPORT_FILE}; remove both files and run again"
        )
    return converted


def _converted(report: Any) -> ConvertedFile:
    refuse_mistakes(report, _SCHEMA)
    return ConvertedFile(
        ProcessorSpec.from_json(report["obs_processor"]),
        ProcessorSpec.from_json(report["action_processor"]),
        report["sha256"],
    )
