"""Published files come from the trained policies, and from nothing else."""

from __future__ import annotations

import shutil

from pgpelib.utils.files import SCRATCH_FOLDER
from workspace import CONFIG, Workspace


def test_published_files_are_derived_again_and_changes_named(alone, tmp_path):
    # One that was trained here, and one that was given.
    trained = alone.config["experiments"]["reaching"]
    given = {"policy_file": "given.pickle", "register": {"policy_name": "given"}}
    experiments = {"reaching": trained, "given": given}
    config = {"experiments": experiments, "films": False}
    workspace = alone.copy(tmp_path / "copy", config)
    policies = workspace.folder / "runs/full/reaching/seed0/policies"
    shutil.copy(next(policies.glob("*.pickle")), workspace.folder / "given.pickle")
    workspace.succeed("register_all")
    results = workspace.folder / "results"
    policy = results / "reaching/seed0/converted/policy.pkl"
    policy.write_bytes(policy.read_bytes()[:-1] + b"x")
    (page,) = (results / "registry/docs").rglob("cooperative_reaching.md")
    page.unlink()
    (results / "reaching/docs/surprise.md").write_text("by hand")
    result = workspace.snakemake("check")
    assert not (workspace.folder / "runs" / SCRATCH_FOLDER).exists()
    assert result.returncode != 0
    lines = [line for line in result.stdout.splitlines() if line.startswith("results/")]
    # All others are what the chain makes.
    assert lines == [
        "results/reaching/docs/surprise.md: unexpected",
        "results/reaching/seed0/converted/policy.pkl: differs",
        f"{page.relative_to(workspace.folder)}: missing",
    ]


def test_before_anything_is_there_it_says_what_to_do(root, tmp_path):
    workspace = Workspace(root, tmp_path, CONFIG)
    message = "no results of lander, registry in results: run register_all first"
    result = workspace.run_script("check_results.py", "--only", "lander")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert message in line
    result = workspace.snakemake("check", "--config", "only=lander")
    assert result.returncode != 0
    assert message in result.stdout + result.stderr
    assert "check_results.py" not in result.stdout + result.stderr
