"""What is written beside a converted policy: its processors and the proof."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from pgpelib.files import read_json
from posggym_es.spec import ProcessorSpec

MODEL_NAME = "policy"
REPORT_FILE = "conversion.json"


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
    report = read_json(path)
    try:
        return (
            ProcessorSpec.from_json(report["obs_processor"]),
            ProcessorSpec.from_json(report["action_processor"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path}: no report of a conversion: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
