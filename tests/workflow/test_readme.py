"""Every shell command of the README and of the guides does what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from hosts import git
from workspace import CONFIG, Workspace, environment

ROOT = Path(__file__).resolve().parents[2]
TINY = "env_name=LunarLanderContinuous-v2 hidden=[] niters=1 popsize=2 popsize_max=None"
TINY += " num_interactions=None re_eval_num_episodes=1 num_cpus=1"


GUIDES = (
    *("README.md", "docs/tutorial.md", "docs/own_environment.md"),
    *("docs/chain.md", "docs/trainer.md", "docs/publishing.md"),
)


def blocks(language: str, guides: Sequence[str] = GUIDES) -> list[str]:
    """Return the code blocks in a language, in order."""
    text = "\n".join((ROOT / guide).read_text() for guide in guides)
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands() -> list[str]:
    """Return the commands of the shell blocks, without comments, each once."""
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    found = [re.split(r"\s#\s", line)[0].strip() for line in lines if line.strip()]
    return list(dict.fromkeys(found))


# Commands that tests with a server, a cluster or repositories run: those tests.
WORKFLOW = "workflow/test_workflow.py"
REPOSITORIES = f"{WORKFLOW}::test_agents_go_to_repositories_and_come_out_again"
HUB = "python workflow/scripts/push_to_hub.py results/lunarlander/seed0"
HUB += " --repo_id USER/NAME"
MONGO = "system/test_mongo.py"
SLURM = "system/test_slurm.py"
ELSEWHERE = {
    "snakemake --report report.html register_all": (
        "system/test_result_pages.py::test_snakemakes_report_has_the_results"
    ),
    "python train.py -m IP:PORT:DATABASE": (
        f"{MONGO}::test_a_run_is_found_again_with_config_metrics_and_policies"
    ),
    "python train.py -m 'mongodb://$MONGO_USER:$MONGO_PASSWORD@HOST/DATABASE'": (
        f"{MONGO}::test_credentials_come_from_the_environment_and_stay_there"
    ),
    "snakemake --cores 1 publish": REPOSITORIES,
    f"{HUB} --dry_run": "unit/test_hub.py::test_a_dry_run_uploads_nothing",
    HUB: "unit/test_hub.py::test_an_uploaded_agent_can_be_loaded",
    "snakemake --cores 1 unregister --config "
    "policy=LunarLanderContinuous-v2/pgpe_seed0-v0": REPOSITORIES,
    "snakemake --profile profiles/slurm register_all": (
        f"{SLURM}::test_register_all_gives_the_files_of_a_local_run"
    ),
}
# Commands that no test runs, and why.
UNTESTED = {
    "make demo": "the two commands are run in a fresh clone before each release",
    "make test": "this",
    "make env": "it made the environment that runs this",
    "source .venv/bin/activate": "the tests run inside of it",
    "cd workflow/scripts": "the commands after it are run there",
}
OTHERS = [c for c in commands() if c not in (*ELSEWHERE, *UNTESTED)]
PLANNED = [c for c in OTHERS if c.startswith("snakemake ")]
TRAINING = [c for c in OTHERS if c.startswith(("python train", "./train_"))]
CONVERTING = [c for c in OTHERS if "save_to_posggym_format.py" in c]
LOOKING = [c for c in OTHERS if c.endswith("status.py")]


def test_every_command_has_a_test():
    assert len(commands()) > 20
    assert {*OTHERS} == {*PLANNED, *TRAINING, *CONVERTING, *LOOKING}
    # And the lists are not older than the guides.
    assert {*ELSEWHERE, *UNTESTED} <= {*commands()}
    for test in ELSEWHERE.values():
        file, name = test.split("::")
        assert f"def {name}(" in (ROOT / "tests" / file).read_text()


def shell(command: str, folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )


def own_experiments(guides: Sequence[str] = GUIDES) -> dict:
    """Return the experiments of the guides as one config."""
    found = [yaml.safe_load(block) for block in blocks("yaml", guides)]
    entries = [each.get("experiments", {}) for each in found]
    return {"experiments": {k: v for entry in entries for k, v in entry.items()}}


@pytest.mark.parametrize("command", PLANNED)
def test_snakemake_commands_plan_work(command, tmp_path):
    """Planned as they stand, with the repository's config, and a user's own."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    mine = own_experiments(["docs/tutorial.md", "docs/own_environment.md"])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    command = command.replace(
        "snakemake ", f"snakemake --snakefile {ROOT}/Snakefile -n ", 1
    )
    result = shell(command, tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr
    output = result.stdout + result.stderr
    assert re.search(r"^total\s+\d+", output, re.MULTILINE) or "help" in command


@pytest.mark.parametrize("command", TRAINING)
def test_trainer_commands_run(command, tmp_path):
    """Run as they stand, but for a tiny budget where they would train."""
    scripts = tmp_path / "workflow" / "scripts"
    shutil.copytree(ROOT / "workflow" / "scripts", scripts)
    if "print_config" not in command:
        with_settings = command if " with " in command else f"{command} with"
        command = f"{with_settings} {TINY}"
    result = shell(command, scripts)
    assert result.returncode == 0, result.stderr
    shown = "popsize = " in result.stdout + result.stderr
    assert shown or list(tmp_path.rglob("*iter1.pickle"))


def test_the_converter_alone(done, tmp_path):
    (command,) = CONVERTING
    folder = done.folder / "results/lander/seed0/policies"
    command = command.replace("--checkpoint_dir DIR", f"--checkpoint_dir {folder}")
    command = command.replace("--output_dir DIR", "--output_dir out")
    result = shell(command.replace("workflow/", f"{ROOT}/workflow/", 1), tmp_path)
    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "out").glob("*.pkl"))


def test_the_status_script(done):
    (command,) = LOOKING
    command = command.replace("workflow", f"{ROOT}/workflow")
    result = shell(command, done.folder)
    assert "registered" in result.stdout, result.stderr


def test_the_experiments_of_the_guides_are_valid(tmp_path):
    entries = [yaml.safe_load(block) for block in blocks("yaml")]
    workspace = Workspace(ROOT, tmp_path, own_experiments())
    assert "train" in workspace.succeed("-n", "register_all")
    # The keys of the repositories are known, too.
    repositories = [entry for entry in entries if "posggym_repo" in entry][-1]
    for name in ("posggym_repo", "agent_models_repo"):
        git(tmp_path, "init", "--quiet", name)
        repositories[name] = str(tmp_path / name)
    workspace.write({**CONFIG, **repositories})
    assert "register" in workspace.succeed("-n", "register_all")


PLAYING = [b for b in blocks("python") if "observations, _ = env.reset" in b]


@pytest.mark.parametrize("playing", PLAYING, ids=["readme", "tutorial"])
def test_the_python_that_plays_runs(done, playing):
    # It plays an episode of its agent to the end, which LunarLander scores by 100.
    code = playing + "\nprint(policy.policy_id, done, abs(rewards['0']))"
    printed = done.python(".", code)
    policy_id, ended, score = printed.split()
    assert (policy_id, ended) == ("LunarLanderContinuous-v2/pgpe_seed0-v0", "True")
    assert float(score) == 100


def test_the_environment_of_the_guide_trains(tmp_path):
    (module,) = [b for b in blocks("python") if "gymnasium.register" in b]
    (tmp_path / "my_tasks.py").write_text(module)
    settings = TINY.replace("LunarLanderContinuous-v2", "my_tasks:Reach-v0")
    train = f"python {ROOT}/workflow/scripts/train.py with {settings} run_dir=run"
    result = shell(f"PYTHONPATH=. {train}", tmp_path)
    assert result.returncode == 0, result.stderr
    assert list(tmp_path.rglob("*iter1.pickle"))


def test_the_first_lines_of_the_readme_run(tmp_path):
    (code,) = [block for block in blocks("python") if "posggym_es.zoo" in block]
    result = shell(f"python - <<'EOF'\n{code}\nprint(policy.policy_id)\nEOF", tmp_path)
    assert "pgpe_sp_seed3-v0" in result.stdout, result.stderr


def test_policies_of_the_readme_load_as_modules(done, tmp_path):
    (code,) = [block for block in blocks("python") if "to_torch_module" in block]
    policies = done.folder / "results/lander/seed0/policies"
    shutil.copy2(next(policies.glob("*.pickle")), tmp_path / "policy.pickle")
    result = shell(
        f"python - <<'EOF'\n{code}\nprint(metadata['env_name'])\nEOF", tmp_path
    )
    assert result.stdout.strip() == "LunarLanderContinuous-v2", result.stderr


def test_scripts_can_be_started_from_anywhere(tmp_path):
    script = ROOT / "workflow/scripts/save_to_posggym_format.py"
    result = subprocess.run(
        [sys.executable, script, "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0
