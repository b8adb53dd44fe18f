"""Every code block of the README and of the guides does what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from snakemake.utils import update_config
from torch import nn

from checkpoints import save_checkpoint
from guides import ROOT, blocks, commands
from hosts import git
from posggym_es.config.experiments import Experiments
from posggym_es.config.workflow_config import read_config
from posggym_es.sources.registry import read_policies
from posggym_es.sources.settings import AgentSettings
from workspace import CONFIG, Workspace, environment

SOURCES = ROOT / "tests/data/sources"

TINY = "env_name=LunarLanderContinuous-v2 hidden=[] niters=1 popsize=2 popsize_max=None"
TINY += " num_interactions=None re_eval_num_episodes=1 num_cpus=1"


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
    "pip install .": "tests/unit/test_install.py installs the wheel",
    "posggym-es watch Driving-v1/driving/seed3": "tests/unit/test_commands.py does it",
    "python benchmarks/best_responses.py br-ppo Driving-v1 --populations P0 "
    "--minutes 1.5 --workers 1 --out DIR": "it trains for minutes",
    "python benchmarks/best_response_report.py br-ppo DIR --curves docs/curves": (
        "it draws what the command before it has trained"
    ),
    "make demo": "the two commands are run in a fresh clone before each release",
    "make test": "this",
    "make env": "it made the environment that runs this",
    "make lint": "it is run before each merge",
    "make docs": "tests/system/test_documentation.py builds the site",
    "make test-quick": "these tests are among all",
    "python -m pytest -q tests/unit/test_pgpe.py": "it is among all",
    "python -m pytest tests/system/test_slurm.py": "it is among all",
    "source .venv/bin/activate": "the tests run inside of it",
    "cd workflow/scripts": "the commands after it are run there",
}
OTHERS = [c for c in commands() if c not in (*ELSEWHERE, *UNTESTED)]
PLANNED = [c for c in OTHERS if c.startswith("snakemake ")]
# The plan does not depend on the number of cores, and is all that tests ask for.
PLANS = {re.sub(r" (--cores \d+|-n)\b", "", c): c for c in PLANNED}
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


OWN = ("docs/tutorial.md", "docs/own_environment.md", "docs/populations.md")


def own_experiments() -> dict:
    """Return the experiments and populations that guides begin with, as one config."""
    config: dict = {}
    for block in blocks("yaml", OWN):
        update_config(config, yaml.safe_load(block))
    return config


@pytest.mark.parametrize("command", PLANS.values())
def test_snakemake_commands_plan_work(command, tmp_path):
    """Planned as they stand, with the repository's config, and a user's own."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own_experiments()))
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
    (command,) = [c for c in CONVERTING if "checkpoint_dir" in c]
    folder = done.folder / "results/lander/seed0/policies"
    command = command.replace("--checkpoint_dir DIR", f"--checkpoint_dir {folder}")
    command = command.replace("--output_dir DIR", "--output_dir out")
    result = shell(command.replace("workflow/", f"{ROOT}/workflow/", 1), tmp_path)
    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "out").glob("*.pkl"))


def test_the_converter_with_a_file_of_another_library(tmp_path):
    (command,) = [c for c in CONVERTING if "checkpoint_dir" not in c]
    (tmp_path / "models").mkdir()
    shutil.copy2(SOURCES / "sb3/ppo_cartpole.zip", tmp_path / "models/ppo.zip")
    result = shell(command.replace("workflow/", f"{ROOT}/workflow/", 1), tmp_path)
    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "converted").glob("*.pkl"))


def test_the_status_script(done):
    (command,) = LOOKING
    command = command.replace("workflow", f"{ROOT}/workflow")
    result = shell(command, done.folder)
    assert "registered" in result.stdout, result.stderr


def test_own_experiments_are_planned(tmp_path):
    workspace = Workspace(ROOT, tmp_path, own_experiments())
    assert "train" in workspace.succeed("-n", "register_all")


def test_the_repositories_of_the_guides_are_registered_in(tmp_path):
    entries = map(yaml.safe_load, blocks("yaml"))
    repositories = [entry for entry in entries if "posggym_repo" in entry][-1]
    for name in ("posggym_repo", "agent_models_repo"):
        git(tmp_path, "init", "--quiet", name)
        repositories[name] = str(tmp_path / name)
    workspace = Workspace(ROOT, tmp_path, {**CONFIG, **repositories})
    assert "register" in workspace.succeed("-n", "register_all")


@pytest.fixture(scope="module")
def policies(tmp_path_factory):
    """A folder with the checkpoints that the guides name."""
    folder = tmp_path_factory.mktemp("policies")
    (folder / "models").mkdir()
    for name in ("models/ppo.zip", "ppo.zip"):
        shutil.copy2(SOURCES / "sb3/ppo_cartpole.zip", folder / name)
    shutil.copy2(SOURCES / "cleanrl/ppo_continuous_action.cleanrl_model", folder)
    shutil.copy2(SOURCES / "evotorch/cartpole.pickle", folder / "solution.pickle")
    shutil.copytree(SOURCES / "rllib/ppo_cartpole", folder / "checkpoint_000010")
    (folder / "runs").mkdir()
    save_checkpoint(folder / "runs/klr")
    encoder = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))
    parts = {"encoder": encoder, "lstm": nn.LSTM(8, 6), "head": nn.Linear(6, 2)}
    torch.save(nn.ModuleDict(parts).state_dict(), folder / "mine.pth")
    (described,) = [block for block in blocks("yaml") if "layers:" in block]
    (folder / "mine.yaml").write_text(described)
    return folder


@pytest.mark.parametrize(
    "block", blocks("yaml"), ids=lambda text: text.split(maxsplit=1)[0]
)
def test_configs_of_the_guides_are_valid(policies, monkeypatch, block):
    """They are read beside the repository's own, and the policies that they name."""
    monkeypatch.chdir(policies)
    # Three observations of Pendulum-v1.
    data = yaml.safe_load(block.replace("[...]", "[0.1, 0.2, 0.3]"))
    if "layers" in data:
        # Not a config: what the experiment after it needs.
        assert AgentSettings.from_dict(data).layers
        return
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    if "register" in data:
        data = {"experiments": {"mine": data}}
    elif "resources" in data:
        data = {"experiments": {"humanoid": data}}
    update_config(config, data)
    experiments = Experiments(read_config(config))
    for name in data.get("experiments", {}):
        settings = experiments[name].settings
        if settings.given_checkpoints is not None:
            path = Path(settings.given_checkpoints)
            found = read_policies(path, (), settings.source, settings.agent)
            assert len(found) == len(experiments[name].agents) > 0


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


def test_agents_of_the_zoo_load(tmp_path):
    shown = "\nprint(policy.policy_id)\n"
    code = "".join(b + shown for b in blocks("python") if "posggym_es.zoo" in b)
    result = shell(f"python - <<'EOF'\n{code}EOF", tmp_path)
    assert result.stdout.count("/pgpe_sp_seed") >= 2, result.stderr


def test_policies_of_the_readme_load_as_modules(done, tmp_path):
    (code,) = [block for block in blocks("python") if "to_torch_module" in block]
    policies = done.folder / "results/lander/seed0/policies"
    shutil.copy2(next(policies.glob("*.pickle")), tmp_path / "policy.pickle")
    result = shell(
        f"python - <<'EOF'\n{code}\nprint(metadata['env_name'])\nEOF", tmp_path
    )
    assert result.stdout.strip() == "LunarLanderContinuous-v2", result.stderr


def test_the_steps_run_as_functions(done, tmp_path):
    (code,) = [block for block in blocks("python") if "extract(" in block]
    policies = done.folder / "results/lander/seed0/policies"
    shutil.copy2(next(policies.glob("*.pickle")), tmp_path / "policy.pickle")
    result = shell(f"python - <<'EOF'\n{code}EOF", tmp_path)
    assert result.stdout.startswith("LunarLanderContinuous-v2/pgpe-v0 "), result.stderr


def test_the_workflow_is_a_module_of_the_snakefile_of_the_guide(tmp_path):
    declared, fetched, checked = blocks("python", ["docs/modules.md"])
    for number, snakefile in enumerate(("Snakefile", "workflow/Snakefile")):
        folder = tmp_path / str(number)
        folder.mkdir()
        workspace = OwnSnakefile(ROOT, folder, CONFIG)
        local = f'"{ROOT}/{snakefile}"'
        text = declared.replace('"/path/to/checkout/Snakefile"', local) + checked
        (folder / "Snakefile").write_text(text)
        assert "pgpe_train" in workspace.succeed("-n", "results/lander")
    # Without network, the same file stands for what is fetched.
    assert 'path="workflow/Snakefile"' in fetched


class OwnSnakefile(Workspace):
    """A workspace with a Snakefile that Snakemake finds."""

    def snakefile(self) -> list[str]:
        return []


# A part of each block of Python, and the test that runs it; of this file by default.
PYTHON = {
    "observations, _ = env.reset": "test_the_python_that_plays_runs",
    "gymnasium.register": "test_the_environment_of_the_guide_trains",
    "posggym_es.zoo": "test_agents_of_the_zoo_load",
    "to_torch_module": "test_policies_of_the_readme_load_as_modules",
    "extract(": "test_the_steps_run_as_functions",
    "posggym_es:\n": "test_the_workflow_is_a_module_of_the_snakefile_of_the_guide",
    "github(": "test_the_workflow_is_a_module_of_the_snakefile_of_the_guide",
    "onstart:": "test_the_workflow_is_a_module_of_the_snakefile_of_the_guide",
    "https://HOST/": (
        "workflow/test_repositories.py::test_a_published_branch_loads_by_its_url"
    ),
    "posggym_compiled": "compiled/test_guide.py::test_the_python_of_the_guide_runs",
}


def test_every_block_of_python_has_a_test():
    for block in blocks("python"):
        assert sum(part in block for part in PYTHON) == 1, block
    for test in PYTHON.values():
        file, _, name = test.rpartition("::")
        source = ROOT / "tests" / file if file else Path(__file__)
        assert f"def {name}(" in source.read_text()


def test_scripts_can_be_started_from_anywhere(tmp_path):
    script = ROOT / "workflow/scripts/save_to_posggym_format.py"
    result = subprocess.run(
        [sys.executable, script, "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0
