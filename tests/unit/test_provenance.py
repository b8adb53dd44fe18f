"""The commit that results name is that of the code."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hosts import commit_all, git
from pgpelib.training.provenance import commit_of


@pytest.fixture
def project(tmp_path) -> Path:
    folder = tmp_path / "project"
    for name in ("config/config.yaml", "README.md", "src/code.py", "Snakefile"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("first\n", encoding="utf-8")
    git(folder, "init", "--quiet")
    commit_all(folder)
    return folder


@pytest.mark.parametrize("name", ["src/code.py", "Snakefile"])
def test_changed_code_is_dirty(project, name):
    commit = commit_of(project)
    assert commit
    assert "dirty" not in commit
    (project / name).write_text("second\n", encoding="utf-8")
    assert commit_of(project) == f"{commit}-dirty"
    git(project, "add", "--all")
    assert commit_of(project) == f"{commit}-dirty"


def test_changed_config_and_texts_and_new_files_are_not(project):
    commit = commit_of(project)
    for name in ("config/config.yaml", "README.md", "config/mine.yaml", "src/new.py"):
        (project / name).write_text("second\n", encoding="utf-8")
    assert commit_of(project) == commit


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_checkout_of_another_user_has_a_commit(project):
    commit = commit_of(project)
    for path in (project, project / ".git"):
        os.chown(path, 65534, 65534)
    assert commit_of(project) == commit


def test_without_a_checkout_there_is_no_commit(project, tmp_path):
    within = project / "copy"
    within.mkdir()
    assert commit_of(within) is None
    assert commit_of(tmp_path) is None
