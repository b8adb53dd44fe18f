"""Policies that the pipeline has extracted: `policy.safetensors` and `policy.json`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from posggym_es.policies.policy_file import METADATA_FILE, load_extracted
from posggym_es.sources.base import PickedPolicy, SinglePolicySource, refuse_settings
from posggym_es.sources.settings import AgentSettings


class ExtractedPolicies(SinglePolicySource):
    """Folders with one extracted policy."""

    name: ClassVar[str] = "extracted"
    patterns: ClassVar[tuple[str, ...]] = (METADATA_FILE,)

    def recognises(self, path: Path) -> bool:
        """Return whether a folder holds an extracted policy."""
        return (path / METADATA_FILE).exists()

    def pick(
        self, path: Path, checkpoint: str, role: str | None, settings: AgentSettings
    ) -> PickedPolicy:
        """Read the policy, which has been picked already; see `PolicySource`."""
        refuse_settings(path, settings)
        return PickedPolicy(path / METADATA_FILE, load_extracted(path))
