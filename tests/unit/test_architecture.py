"""The folders show the architecture, and imports go downwards."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs/architecture.md").read_text()
PACKAGES = [path.parent for path in (ROOT / "src").glob("*/__init__.py")]


def test_imports_keep_to_the_layers():
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    assert re.search(r"[1-9]\d* kept, 0 broken", run.stdout)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_document_has_a_line_for_each_package(package):
    assert f"| `{package.name}` |" in DOCUMENT


@pytest.mark.parametrize("name", ["pgpelib", "posggym_es"])
def test_the_document_has_a_line_for_each_folder(name):
    section = DOCUMENT.partition(f"### `src/{name}`")[2].partition("\n#")[0]
    listed = set(re.findall(r"^\| `([a-z_]+)/?(?:\.py)?` \|", section, re.MULTILINE))
    folder = ROOT / "src" / name
    assert {path.parent.name for path in folder.glob("*/__init__.py")} <= listed
    assert all(
        (folder / item).is_dir() or (folder / f"{item}.py").is_file() for item in listed
    )
