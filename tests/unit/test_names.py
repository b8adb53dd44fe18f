"""Names from configs and files are matched as a whole."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from pgpelib.utils.settings import SettingsError
from posggym_es.config.workflow_config import read_config


@pytest.mark.parametrize("ending", ["\n", "\r", " ", "{x}", "\x1b"])
def test_patterns_of_the_config_match_whole_names(ending):
    config = {"experiments": {f"lander{ending}": {}}, "branch": f"es{ending}"}
    with pytest.raises(SettingsError) as refused:
        read_config(config)
    found = str(refused.value)
    assert f"key {f'lander{ending}'!r} must match" in found
    assert re.search(
        f"branch must match .*, not {re.escape(repr(f'es{ending}'))}", found
    )


def patterns(path: Path) -> list[ast.Call]:
    """Return the calls of `re` in a module whose pattern can end early."""
    functions = {"compile", "match", "search"}
    return [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in functions
        and isinstance(node.args[0], ast.Constant)
    ]


def test_no_pattern_of_the_code_takes_a_last_newline_for_the_end(root):
    calls = [(p, c) for p in (root / "src").rglob("*.py") for c in patterns(p)]
    assert len(calls) > 10
    for path, call in calls:
        assert isinstance(call.args[0], ast.Constant)
        pattern = str(call.args[0].value)
        # In lines of a text it is meant.
        in_lines = "MULTILINE" in ast.unparse(call)
        assert in_lines or not re.search(r"(?<!\\)\$\Z", pattern), (path, pattern)
