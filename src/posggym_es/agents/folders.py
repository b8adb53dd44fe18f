"""The layout of an agent's folder.

It holds `spec.json` and `converted/policy.pkl`, and often more, such as its
verification. Such folders are in `results/registry`, `results/<experiment>`, and the
zoo.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from posggym_es.conversion.report import MODEL_FILE
from posggym_es.registration.spec import SPEC_FILE, AgentSpec

# Folder of the converted policy.
CONVERTED_FOLDER = "converted"


def agent_folders(root: Path) -> list[Path]:
    """Return the folders of agents anywhere below a folder, sorted."""
    return sorted(path.parent for path in root.rglob(SPEC_FILE))


def agent_specs(root: Path) -> Iterator[tuple[Path, AgentSpec]]:
    """Yield the folders of agents anywhere below a folder, sorted, with their specs."""
    for folder in agent_folders(root):
        yield folder, AgentSpec.read(folder / SPEC_FILE)


def policy_file_of(folder: Path) -> Path:
    """Return the path of the policy file in an agent's folder."""
    return folder / CONVERTED_FOLDER / MODEL_FILE
