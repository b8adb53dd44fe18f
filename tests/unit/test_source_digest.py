"""The digest of a script covers what it runs, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from posggym_es.workflow.source_digest import _run_by, source_digest

TREE = {
    "Snakefile": "",
    "src/lib/__init__.py": (
        "def __getattr__(name):\n    import importlib\n"
        "    return importlib.import_module('lib.lazy')\n"
    ),
    "src/lib/lazy.py": "",
    "src/lib/fresh/__init__.py": "",
    "src/lib/fresh/main.py": "from lib import deep\n",
    "src/lib/deep.py": "",
    "src/lib/near.py": "from . import far\n",
    "src/lib/far.py": "X = 1\n",
    "src/lib/late.py": "Y = 1\n",
    "src/lib/types.py": "Z = 1\n",
    "src/lib/unused.py": "",
    "script.py": (
        "from __future__ import annotations\n"
        "import json\n"
        "from typing import TYPE_CHECKING\n"
        "from lib.near import far\n"
        "if TYPE_CHECKING:\n"
        "    from lib import types\n"
        "def main():\n"
        "    import lib.late\n"
        "    run_with_tree('tree', 'lib.fresh.main', 'lib.unused of a text')\n"
    ),
    "page.html": "",
}


def digest(folder: Path) -> str:
    # As in another process: nothing is remembered.
    source_digest.cache_clear()
    from posggym_es.workflow import source_digest as module

    module._modules.cache_clear()
    return source_digest(folder / "script.py", folder / "src", (folder / "page.html",))


@pytest.mark.parametrize(
    ("edited", "counts"),
    [
        ("script.py", True),
        ("src/lib/__init__.py", True),
        ("src/lib/near.py", True),
        ("src/lib/far.py", True),
        ("src/lib/late.py", True),
        ("src/lib/types.py", False),
        ("src/lib/unused.py", False),
        # Run by `python -m`, with all that it imports.
        ("src/lib/fresh/main.py", True),
        ("src/lib/deep.py", True),
        # Imported only by those who ask the package for the name.
        ("src/lib/lazy.py", False),
        ("page.html", True),
    ],
)
def test_what_a_script_imports_counts(tmp_path, edited, counts):
    for name, text in TREE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = digest(tmp_path)
    assert digest(tmp_path) == before
    with (tmp_path / edited).open("a") as file:
        file.write("\nZ = 3\n")
    assert (digest(tmp_path) != before) == counts


RUN_BY_NAME = {
    "generate_registry.py": "posggym_es/registration/registered_ids.py",
    "register_in_repositories.py": "posggym_es/publishing/posggym_docs.py",
    "publish.py": "posggym_es/publishing/publication.py",
    # An entry point: pgpelib knows no POSGGym.
    "extract_checkpoint.py": "posggym_es/tasks/family.py",
}


@pytest.mark.parametrize("script", RUN_BY_NAME)
def test_modules_that_are_run_by_name_count(root, script):
    path = root / "workflow" / "scripts" / script
    assert root / "src" / RUN_BY_NAME[script] in _run_by(path, root / "src")


def test_scripts_run_no_modules_that_are_for_other_steps(root):
    """A digest of everything would run everything again."""
    files = _run_by(root / "workflow/scripts/extract_checkpoint.py", root / "src")
    for part in ("publishing", "reporting", "workflow/status.py"):
        assert not [path for path in files if f"posggym_es/{part}" in str(path)]


def test_installed_packages_of_others_do_not_count(tmp_path, monkeypatch):
    """Where the project is installed, they lie beside its packages."""
    installed = tmp_path / "site-packages"
    files = {"posggym_es/a.py": "import other", "other.py": ""}
    for name, text in files.items():
        (installed / name).parent.mkdir(parents=True, exist_ok=True)
        (installed / name).write_text(text)
    info = installed / "posggym_es-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: posggym-es\n")
    (info / "RECORD").write_text("posggym_es/a.py,,\n")
    monkeypatch.syspath_prepend(installed)
    script = tmp_path / "script.py"
    script.write_text("import posggym_es.a\nimport other\n")
    assert _run_by(script, installed) == {script, installed / "posggym_es/a.py"}
