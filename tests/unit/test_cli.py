"""Command lines: arguments that make no sense."""

from __future__ import annotations

import subprocess
import sys

import pytest

from messages import exactly
from pgpelib.utils.files import write_json
from posggym_es.evaluation.verification_report import read_verification


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ("generate_docs.py", "--posggym_tree", "no", "--all", "--output", "docs"),
            1,
            "generate_docs.py: {folder}/no does not contain the posggym package\n",
        ),
        (
            ("save_to_posggym_format.py", "--action_processor", "{"),
            2,
            "argument --action_processor: not JSON: Expecting property name",
        ),
        (
            ("save_to_posggym_format.py", "--action_processor", "[1]"),
            2,
            "argument --action_processor: must be a mapping, not [1]\n",
        ),
        (
            ("check_planned_agents.py", "--agents", "3"),
            2,
            "argument --agents: must be a list, not 3\n",
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


def test_files_that_are_not_there_are_named_first(root, tmp_path):
    script = root / "workflow/scripts/stage_agents.py"
    arguments = "--specs no.json --policies no.pkl --models_root m --assets_root a"
    result = subprocess.run(
        [sys.executable, script, *arguments.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr == "stage_agents.py: no.json: No such file or directory\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "must be a mapping, not []"),
        (
            {"returns": [1.0]},
            "missing required key 'lengths'; missing required key 'seeds'; missing "
            "required key 'company'",
        ),
        (
            {"returns": [], "lengths": [1], "seeds": [0.5], "company": {"x": 1}},
            "returns must not be empty; seeds.0 must be an integer, not 0.5; "
            "company: unknown key 'x'; known keys are endless_length, partners, role, "
            "siblings",
        ),
    ],
)
def test_other_files_are_no_verifications(tmp_path, data, message):
    path = tmp_path / "verification.json"
    write_json(path, data)
    with pytest.raises(
        ValueError, match=exactly(f"{path}: not a verification report: {message}")
    ):
        read_verification(path)
