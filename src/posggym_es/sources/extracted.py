"""Policies that the pipeline has extracted: `policy.safetensors` and `policy.json`."""

from __future__ import annotations

from pathlib import Path

from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.policies.policy_file import METADATA_FILE, load_extracted
from posggym_es.sources.base import SINGLE_POLICY, PickedPolicy


class ExtractedPolicies:
    """Folders with one extracted policy."""

    files = METADATA_FILE

    def recognises(self, path: Path) -> bool:
        """Return whether a folder holds an extracted policy."""
        return (path / METADATA_FILE).exists()

    def read_all(self, path: Path) -> dict[str, ConvertiblePolicy]:
        """Read the policy; see `PolicySource`."""
        return {SINGLE_POLICY: load_extracted(path)}

    def pick(self, path: Path, checkpoint: str, role: str | None) -> PickedPolicy:
        """Read the policy, which has been picked already; see `PolicySource`."""
        return PickedPolicy(path / METADATA_FILE, load_extracted(path))
