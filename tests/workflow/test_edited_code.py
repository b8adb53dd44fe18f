"""Editing code runs again what it affects, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from workspace import Workspace, planned


def edited_project(root: Path, folder: Path, name: str) -> Path:
    """Return a copy of the project in which a file has another line."""
    for part in ("src", "rules", "config", "workflow", "profiles", "envs"):
        shutil.copytree(root / part, folder / part)
    shutil.copy2(root / "Snakefile", folder)
    assert (folder / name).is_file()
    with (folder / name).open("a") as file:
        file.write("\n_EDITED = True\n")
    return folder


@pytest.mark.parametrize(
    ("edited", "again", "not_again"),
    [
        (
            "src/posggym_es/reporting/charts.py",
            ["results/lander", "results/index.html"],
            ["policies", "extracted", "converted", "verification", "posggym-tree"],
        ),
        (
            "src/posggym_es/evaluation/verification.py",
            ["lander/seed0/verification.json", "results/lander"],
            ["policies", "extracted", "converted"],
        ),
        (
            "src/posggym_es/policies/lossless.py",
            ["lander/seed0/converted", "results/lander"],
            ["policies"],
        ),
        # Training is left out on purpose.
        ("src/pgpelib/search/pgpe.py", [], ["policies"]),
    ],
)
def test_editing_code_runs_again_what_it_affects(
    root, done, tmp_path, edited, again, not_again
):
    project = edited_project(root, tmp_path / "project", edited)
    shutil.copytree(done.folder, tmp_path / "copy", symlinks=True)
    # As if it had been run with the scripts of that folder: only the code differs.
    for path in (tmp_path / "copy/.snakemake/metadata").iterdir():
        path.write_text(path.read_text().replace(f"{root}/", f"{project}/"))
    workspace = Workspace(project, tmp_path / "copy", done.config)
    outputs = planned(workspace.succeed("-n", "register_all"))
    for name in again:
        assert any(name in output for output in outputs), outputs
    for name in not_again:
        assert not any(name in output for output in outputs), outputs
