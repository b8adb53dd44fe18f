"""Modules that run with the posggym of a tree."""

from __future__ import annotations

import pytest

from posggym_es.utils.fresh_process import FreshProcessError, run_with_tree


@pytest.fixture
def tree(tmp_path):
    package = tmp_path / "tree" / "posggym"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("name = 'of the tree'\n")
    return package.parent


@pytest.fixture
def script(tree):
    """Make a module of the tree, and return its name."""

    def make(code: str) -> str:
        (tree / "script.py").write_text(code)
        return "script"

    return make


def test_a_module_sees_the_tree_and_this_project(tree, script):
    code = "import sys, posggym, posggym_es; print(posggym.name, *sys.argv[1:])"
    assert run_with_tree(tree, script(code), "a b", "c") == "of the tree a b c\n"


def test_nothing_is_written_into_the_tree(tree, script):
    module = script("import posggym")
    before = sorted(tree.rglob("*"))
    run_with_tree(tree, module)
    assert sorted(tree.rglob("*")) == before


def test_an_error_has_the_traceback_and_the_reason(tree, script):
    with pytest.raises(FreshProcessError, match="Traceback") as caught:
        run_with_tree(tree, script("raise ValueError('no such agent')"))
    assert caught.value.reason == "ValueError: no such agent"


def test_a_process_that_is_killed_says_so(tree, script):
    with pytest.raises(FreshProcessError) as caught:
        run_with_tree(tree, script("import os; os.kill(os.getpid(), 9)"))
    assert caught.value.reason == "Python exited with status -9"
