"""Published files come from the trained policies, and from nothing else."""

from __future__ import annotations

from pgpelib.utils.files import SCRATCH_FOLDER
from posggym_es.config.settings import WorkflowConfig
from posggym_es.publishing.rederivation import derivation_settings
from workspace import CONFIG, Workspace


def test_published_files_are_derived_again_and_changes_named(alone, tmp_path):
    workspace = alone.copy(tmp_path / "copy")
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


def test_given_policies_are_found_from_any_folder(tmp_path):
    given = {"policy_file": "given.pickle", "register": {"policy_name": "given"}}
    checkpoints = {"checkpoint_dir": "/there", "register": {"policy_name": "ppo"}}
    config = {
        "experiments": {"given": given, "checkpoints": checkpoints},
        "posggym_repo": "posggym",
        "agent_models_repo": "models",
        "crossplay": {},
    }
    settings = derivation_settings(WorkflowConfig.from_dict(config), tmp_path)
    experiments = settings["experiments"]
    assert experiments["given"]["policy_file"] == str(tmp_path / "given.pickle")
    assert experiments["checkpoints"]["checkpoint_dir"] == "/there"
    # Nothing is registered anywhere else, played or filmed.
    assert settings == {"experiments": experiments, "films": False}
