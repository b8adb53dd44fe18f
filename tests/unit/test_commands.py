"""The console command `posggym-es`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import posggym.agents
import pytest

import posggym_es
from agent_folders import make_agent
from hosts import git
from pgpelib.policies.saving import load_saved
from pgpelib.training.config import TrainingConfig
from pgpelib.training.learner import Learner
from posggym_es.agents.remote import is_url
from posggym_es.commands import finding, main, run, watch
from posggym_es.commands.main import COMMANDS
from posggym_es.evaluation.file_names import EXTRACTED_FOLDER
from posggym_es.policies.evolved import convertible
from posggym_es.policies.policy_file import TENSORS_FILE, write_policy

ROOT = Path(__file__).resolve().parents[2]
DRIVER = "Driving-v1/driving/seed3"
ID_IN_ZOO = "CooperativeReaching-v0/size=5/pgpe_sp_seed0-v0"
FORAGER = "LevelBasedForaging-v3/level_based_foraging/seed0"
POSGGYMS_OWN = "Driving-v1/A40Shortestpath-v0"


@pytest.fixture(autouse=True)
def process_as_before(monkeypatch):
    """Undo what commands do to their process, which other tests share."""
    # Films choose a renderer, which cannot be loaded before PyTorch's compiler.
    variables = dict(os.environ)
    before = dict(posggym.agents.registry)
    # An import registers the zoo.
    monkeypatch.delitem(sys.modules, "posggym_es.zoo", raising=False)
    yield
    sys.modules.pop("posggym_es.zoo", None)
    posggym.agents.registry.clear()
    posggym.agents.registry.update(before)
    os.environ.clear()
    os.environ.update(variables)


def posggym_es_command(*arguments, cwd=ROOT, **kwargs):
    return subprocess.run(
        [Path(sys.executable).with_name("posggym-es"), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        **kwargs,
    )


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    names = [main.name_of(command) for command in COMMANDS]
    assert {"run", "status", "watch", "load", "convert", "verify", "check"} <= set(
        names
    )
    assert all(f"\n    {name}" in text for name in names)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.__name__)
def test_examples_of_the_help_are_valid_command_lines(command, capsys):
    name = main.name_of(command)
    examples = command.__doc__.partition("Examples\n--------\n")[2].splitlines()
    assert examples
    for line in examples:
        program, *arguments = line.split()
        assert (program, arguments[0]) == ("posggym-es", name)
        args, others = main.parser().parse_known_args(arguments)
        assert args.command is command
        assert not others or command.PASSES_ON


def test_an_unknown_option_is_an_error_unless_it_is_snakemakes(capsys):
    with pytest.raises(SystemExit):
        main.main(["watch", DRIVER, "--fast"])
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


def test_load_prints_lines_that_load_the_agent(tmp_path, capsys):
    spec, _ = make_agent(tmp_path / "agent", "CartPole-v1", "loaded")
    main.main(["load", str(tmp_path)])
    block = capsys.readouterr().out
    scope = {}
    exec(block, scope)
    assert scope["policy"].policy_id == spec.id
    # One's own agent may have the id of another one in the zoo.
    folder = tmp_path / "own" / "agent"
    own, _ = make_agent(
        folder, "posggym:CooperativeReaching-v0", "pgpe_sp_seed0", env_args_id="size=5"
    )
    assert own.id == ID_IN_ZOO
    main.main(["load", str(folder)])
    assert str(folder) in capsys.readouterr().out
    del posggym.agents.registry[own.id]
    main.main(["load", DRIVER])
    assert "posggym_es.zoo" in capsys.readouterr().out
    main.main(["load", POSGGYMS_OWN])
    assert "posggym_es" not in capsys.readouterr().out


@pytest.mark.parametrize("agent", [DRIVER, FORAGER])
def test_an_exported_agent_is_its_trained_policy(agent, tmp_path, capsys):
    path = tmp_path / "policy.pickle"
    main.main(["export", agent, str(path)])
    assert str(path) in capsys.readouterr().out
    # It gives the same agent again, and a search starts from it.
    policy = load_saved(path)
    write_policy(convertible(policy), tmp_path)
    extracted = ROOT / "zoo" / agent / EXTRACTED_FOLDER / TENSORS_FILE
    assert (tmp_path / TENSORS_FILE).read_bytes() == extracted.read_bytes()
    settings = policy.metadata.config | {"init_policy": str(path), "init_gain": 0}
    learner = Learner(TrainingConfig.from_dict(settings), None)
    center = policy.architecture.parameters(policy.layers)
    assert np.array_equal(learner.pgpe.center, center)


def test_agents_that_were_not_trained_here_are_not_exported(tmp_path):
    path = tmp_path / "policy.pickle"
    with pytest.raises(SystemExit, match="not an agent of results/ or zoo/"):
        main.main(["export", POSGGYMS_OWN, str(path)])
    assert not path.exists()


def test_verify_tells_a_changed_episode(tmp_path, capsys):
    main.main(["verify", DRIVER, "--episodes", "1"])
    assert "same policy file, 1 episodes replayed" in capsys.readouterr().out
    make_agent(tmp_path / "agent", "CartPole-v1", "unverified")
    with pytest.raises(SystemExit, match="has no verification"):
        main.main(["verify", str(tmp_path)])


@pytest.mark.parametrize("agent", [DRIVER, ID_IN_ZOO, POSGGYMS_OWN])
def test_watch_films_without_a_display(agent, tmp_path, monkeypatch, capsys):
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    main.main(["watch", agent])
    assert (tmp_path / "film.mp4").stat().st_size > 1000
    assert "seed 0, return" in capsys.readouterr().out


def test_watch_opens_a_window_where_there_is_a_display(monkeypatch, capsys):
    monkeypatch.setenv("DISPLAY", ":0")
    # Renders into memory, as a window would be drawn.
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert watch.has_display()
    main.main(["watch", "MultiAccessBroadcastChannel-v0/pgpe_sp_seed0-v0"])
    assert capsys.readouterr().out.count("return") == 3


def test_an_agent_that_does_not_exist_is_an_error_with_a_suggestion():
    with pytest.raises(SystemExit, match="unknown agent .*did you mean"):
        main.main(["watch", POSGGYMS_OWN[:-1]])


def test_a_folder_with_several_agents_is_not_one(tmp_path):
    for name in ("one", "two"):
        make_agent(tmp_path / name, "CartPole-v1", f"several_{name}")
    with pytest.raises(ValueError, match="2 agents; name one of CartPole-v1/several"):
        finding.find_agent(str(tmp_path))


def test_the_roles_that_an_agent_cannot_play_are_random(tmp_path):
    make_agent(tmp_path, "posggym:UAV-v0", "chaser", "1", valid_agent_ids=["1"])
    company = finding.find_agent(str(tmp_path)).co_players()
    assert (company.role, company.partners) == ("1", ["Random-v0"])


@pytest.fixture
def repository(tmp_path):
    """A bare repository with an agent on the branch `models`."""
    work = tmp_path / "work"
    spec, _ = make_agent(work / "agents/one", "CartPole-v1", "published")
    (work / "agents/link").symlink_to("/etc")
    git(work, "init", "--quiet", "--initial-branch=models")
    git(work, "add", ".")
    git(
        work,
        *("-c", "user.name=n", "-c", "user.email=e", "commit", "--quiet", "-m", "Add"),
    )
    git(tmp_path, "clone", "--quiet", "--bare", str(work), "bare.git")
    return f"file://{tmp_path}/bare.git", spec.id


def test_agents_are_registered_from_the_url_of_a_repository(
    repository, tmp_path, monkeypatch
):
    url, agent = repository
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for text in (f"{url}@models", f"git+{url}", url):
        assert posggym_es.register_agents(text) == [agent]
    assert agent in posggym.agents.registry
    assert not [path for path in tmp_path.glob("cache/**/*") if path.is_symlink()]
    with pytest.raises(ValueError, match=r"@absent: cannot be fetched: .*absent"):
        posggym_es.register_agents(f"{url}@absent")
    with pytest.raises(ValueError, match="cannot be fetched"):
        posggym_es.register_agents(f"file://{tmp_path}/missing.git")


@pytest.mark.parametrize("text", ["results/registry", "/abs/path", "c:/windows", "zoo"])
def test_paths_are_no_urls(text):
    assert not is_url(text)


@pytest.mark.slow
def test_run_starts_snakemake_with_its_own_options():
    done = posggym_es_command(
        *("run", "lunarlander", "--scale", "smoke", "-n"),
        *("--config", "experiments={lunarlander: {seeds: [1]}}"),
    )
    assert done.returncode == 0, done.stderr
    # The plan, which is Snakemake's own.
    assert "output: results/smoke/lunarlander" in done.stdout + done.stderr


def test_run_needs_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no Snakefile"):
        run.require_checkout()
