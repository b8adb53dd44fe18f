"""Reports of conversions, with the processors and the proof."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from posggym_es.models.processors import ProcessorSpec
from posggym_es.sources.base import SINGLE_POLICY
from posggym_es.utils.schema_check import read_as, refuse_mistakes

MODEL_SUFFIX = ".pkl"
# The file's name if a source contains a single policy.
MODEL_FILE = f"{SINGLE_POLICY}{MODEL_SUFFIX}"
REPORT_FILE = "conversion.json"
# That a proof compares: with fewer, a single tie in float32 would exceed the allowed
# share.
MIN_OBSERVATIONS = 1000
# The part of a report that other steps read.
_SCHEMA = {
    "type": "object",
    "required": ["obs_processor", "action_processor", "sha256"],
    "properties": {"sha256": {"type": "string"}},
}


@dataclasses.dataclass(frozen=True)
class ConvertedFile:
    """A converted policy file.

    Parameters
    ----------
    obs_processor, action_processor
        The processors that the policy must be registered with.
    sha256
        SHA-256 of the file, in hexadecimal.
    """

    obs_processor: ProcessorSpec
    action_processor: ProcessorSpec
    sha256: str


def report_file_of(name: str) -> str:
    """Return the name of the report on a policy with the given name."""
    return REPORT_FILE if name == SINGLE_POLICY else f"{name}.json"


def conversion_report(
    data: bytes,
    obs_processor: ProcessorSpec,
    action_processor: ProcessorSpec,
    proof: dict[str, Any],
) -> dict[str, Any]:
    """Return the report on a policy file with content `data`."""
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "obs_processor": dataclasses.asdict(obs_processor),
        "action_processor": dataclasses.asdict(action_processor),
        "proof": proof,
    }


def read_conversion(output_dir: Path) -> ConvertedFile:
    """Read the report in a folder, and check the policy file.

    Raises
    ------
    ValueError
        If the report is missing or damaged, or the policy file is not the one whose
        conversion was proved; the message names the file.
    """
    path, file = output_dir / REPORT_FILE, output_dir / MODEL_FILE
    converted = read_as(path, "not a conversion report", _converted)
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
