"""Command lines: arguments that make no sense."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ("generate_docs.py", "--posggym_tree", "no", "--all", "--output", "docs"),
            1,
            "generate_docs.py: {folder}/no: holds no posggym package\n",
        ),
        (
            ("save_to_posggym_format.py", "--action_processor", "{"),
            2,
            "argument --action_processor: not JSON: Expecting property name",
        ),
        (
            ("save_to_posggym_format.py", "--action_processor", "[1]"),
            2,
            "argument --action_processor: [1] is not a mapping of keys to values\n",
        ),
        (
            ("check_planned_agents.py", "--agents", "3"),
            2,
            "argument --agents: 3 is not a list\n",
        ),
    ],
)
def test_wrong_arguments_are_named_and_nothing_is_written(
    root, tmp_path, arguments, status, message
):
    script, *rest = arguments
    result = subprocess.run(
        [sys.executable, root / "workflow/scripts" / script, *rest],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == status
    assert message.format(folder=tmp_path) in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())
