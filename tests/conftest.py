"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files made by others, which the repository does not contain."""
    folder = Path(
        os.environ.get("PROJECT_SHARED_DATA", ROOT.parent / "shared" / "data")
    )
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder} (set PROJECT_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def published_humanoid(shared_data: Path) -> Path:
    """The HumanoidBullet policy published with the ClipUp paper."""
    return next((shared_data / "pgpelib-agents").glob("*TinyTrajHumanoidBullet*"))
