"""The trainer as a program, used as its users use it."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pgpelib.restore import policy_metadata, to_torch_module
from pgpelib.training.command_line import as_updates, read_settings, without_pairs
from pgpelib.training.experiment import main
from pgpelib.utils.settings import SettingsError
from training_runs import wait_for

SMALL = ["niters=2", "popsize=4", "popsize_max=4", "num_interactions=10"]
SMALL += ["re_eval_num_episodes=1", "num_cpus=1", "seed=1"]


def run(root, *command, cwd=None):
    script = root / "workflow" / "scripts" / command[0]
    prefix = [sys.executable] if script.suffix == ".py" else []
    path = f"{sys.prefix}/bin:/usr/bin:/bin"
    return subprocess.run(
        [*prefix, script, *command[1:]],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PATH": path, "HOME": str(cwd or root)},
    )


def printed_config(output: str) -> dict[str, str]:
    plain = re.sub(r"\x1b\[\d*m", "", output)
    return dict(re.findall(r"^  (\w+) = (\[.*?\]|\S+)", plain, re.MULTILINE))


def error_of(setting: str) -> str:
    """Return the line that a wrong setting ends the program with."""
    with pytest.raises(SystemExit) as ended:
        main(["print_config", "with", setting])
    (line,) = str(ended.value).splitlines()
    return line


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            "train.py",
            {
                "popsize": "10000",
                "popsize_max": "80000",
                "num_interactions": "1500000",
                "max_speed": "0.15",
                "center_lr": "0.075",
                "radius": "2.25",
                "niters": "1000",
                "hidden": "[64]",
                "save_interval": "10",
            },
        ),
        (
            "train_humanoid.sh",
            {
                "env_name": "'Humanoid-v2'",
                "popsize": "200",
                "popsize_max": "3200",
                "num_interactions": "150000",
                "max_speed": "0.015",
                "center_lr": "0.0075",
                "radius": "0.27",
                "decrease_rewards_by": "5.0",
                "hidden": "[]",
            },
        ),
        (
            "train_walker2d.sh",
            {
                "env_name": "'Walker2d-v2'",
                "popsize": "100",
                "popsize_max": "800",
                "num_interactions": "75000",
                "radius": "0.225",
                "decrease_rewards_by": "1.0",
                "niters": "500",
            },
        ),
        (
            "train_lunarlandercontinuous.sh",
            {
                "env_name": "'LunarLanderContinuous-v2'",
                "popsize": "200",
                "num_interactions": "-1",
                "popsize_max": "-1",
                "max_speed": "0.3",
                "center_lr": "0.15",
                "radius": "4.5",
                "obs_norm": "False",
                "niters": "50",
            },
        ),
    ],
)
def test_print_config_shows_the_papers_settings(root, script, expected):
    result = run(root, script, "print_config")
    assert result.returncode == 0, result.stderr
    shown = printed_config(result.stdout + result.stderr)
    assert {name: shown.get(name) for name in expected} == expected


def test_file_storage_holds_config_metrics_and_policies(root, tmp_path):
    result = run(
        root,
        *("train_lunarlandercontinuous.sh", "-F", "results", "with", *SMALL),
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert re.search(
        "2 generations .* will take about .* at the current episode length",
        result.stdout,
    )
    first, last = re.findall("^generation .*", result.stdout, re.MULTILINE)
    assert first.endswith(" left at this episode length")
    assert last.startswith("generation 2/2: steps/s")
    assert "left" not in last
    folder = tmp_path / "results" / "1"
    config = json.loads((folder / "config.json").read_text())
    assert config["popsize"] == 4
    assert config["max_speed"] == 0.3
    assert json.loads((folder / "run.json").read_text())["status"] == "COMPLETED"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["pop_median"]["steps"] == [1, 2]
    (policy,) = folder.glob("*_LunarLanderContinuous-v2_*_iter2.pickle")
    assert to_torch_module(policy) is not None
    assert policy_metadata(policy)["env_name"] == "LunarLanderContinuous-v2"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("run_dir", ["run_dir=run", ""])
def test_an_interrupted_run_ends_with_one_line(root, tmp_path, number, run_dir):
    settings = ["env_name=CartPole-v1", "hidden=[]", "niters=100000", "popsize=4"]
    script = root / "workflow" / "scripts" / "train.py"
    command = [sys.executable, script, "-F", "results", "with", *settings, "num_cpus=2"]
    process = subprocess.Popen(
        [*command, *([run_dir] if run_dir else [])],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    folder = tmp_path / (run_dir.partition("=")[2] or "results/1/run")
    wait_for((folder / "state.npz").exists)
    # On a terminal, Ctrl-C goes to all processes, and so does the signal of Slurm.
    os.killpg(process.pid, number)
    before, line = process.communicate()[1].rstrip().rsplit("\n", 1)
    assert process.returncode == 128 + number
    assert "Traceback" not in before
    assert "Aborted" not in before
    with (folder / "metrics.csv").open() as file:
        *_, last = csv.DictReader(file)
    option = "" if run_dir else f" with run_dir={folder.relative_to(tmp_path)}"
    assert line == (
        f"Interrupted after generation {last['generation']}; "
        f"run the same command{option} to resume."
    )
    assert json.loads((tmp_path / "results/1/run.json").read_text())["status"] == (
        "INTERRUPTED"
    )


def test_settings_of_environments_cause_no_warnings(root, tmp_path):
    settings = ["env_name=LunarLanderContinuous-v2", "env_config={'gravity': -9.0}"]
    result = run(
        root,
        *("train.py", "-F", "results", "with", *settings, "env_config.wind_power=1.5"),
        *(*SMALL, "niters=1", "hidden=[]"),
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stdout + result.stderr
    config = json.loads((tmp_path / "results" / "1" / "config.json").read_text())
    assert config["env_config"] == {"gravity": -9.0, "wind_power": 1.5}


def test_without_observer_it_trains_in_a_folder_of_its_own(root, tmp_path):
    settings = ["env_name=LunarLanderContinuous-v2", "hidden=[]", *SMALL]
    result = run(root, "train.py", "with", *settings, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (policy,) = (tmp_path / "pgpe_runs").glob("*/policies/*.pickle")
    assert policy_metadata(policy)["generation"] == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("popsize=7", "popsize must be even, not 7"),
        ("popsiez=8", "unknown key 'popsiez'; did you mean 'popsize'?"),
        # Sacred calculates other settings with this one.
        ("popsize=many", "train.py: popsize must be an integer, not 'many'"),
    ],
)
def test_wrong_settings_end_with_one_message(root, tmp_path, setting, message):
    result = run(root, "train.py", "with", setting, cwd=tmp_path)
    assert result.returncode != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.pickle"))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            ["hidden_size=32", "num_hidden=2", "num_interactions=-1"],
            {"hidden": "[32, 32]", "num_interactions": "-1"},
        ),
        (["num_hidden=2"], {"hidden": "[64, 64]"}),
        (["hidden_size=0", "num_hidden=0"], {"hidden": "[]"}),
        # As the original's train_lunarlandercontinuous.sh has it.
        (
            [
                *("popsize=200", "popsize_max=-1", "num_interactions=-1"),
                *("max_speed=0.3", "center_lr=0.15", "radius=4.5", "obs_norm=False"),
                *("hidden_size=0", "num_hidden=0", "env_name=LunarLanderContinuous-v2"),
                *("re_eval_env_name=", "niters=50"),
            ],
            {
                "popsize_max": "-1",
                "hidden": "[]",
                "re_eval_env_name": "'LunarLanderContinuous-v2'",
            },
        ),
        (["popsize_max=None", "num_interactions=None"], {"popsize_max": "-1"}),
    ],
)
def test_the_originals_settings_are_understood(root, tmp_path, settings, expected):
    result = run(root, "train.py", "print_config", "with", *settings, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    shown = printed_config(result.stdout + result.stderr)
    assert {name: shown.get(name) for name in expected} == expected
    assert "WARNING" not in result.stdout + result.stderr


def test_partners_with_weights_go_through_sacred_as_pairs():
    weights = {"Driving-v1/x=1.5/A0-v0": 2, "Random-v0": 0.5}
    given = read_settings([f"partners={weights}"])
    assert as_updates(given) == [
        "partners=[['Driving-v1/x=1.5/A0-v0', 2], ['Random-v0', 0.5]]"
    ]
    assert without_pairs(given) == {"partners": weights}
    with pytest.raises(SettingsError, match="partners.Random-v0 must be greater than"):
        read_settings(["partners={'Random-v0': 0}"])


def test_config_files_are_read_as_data_and_count_less_than_the_command(root, tmp_path):
    (tmp_path / "a.yaml").write_text("popsize: 8\nenv_config: {a: [1]}\n")
    (tmp_path / "b.json").write_text('{"popsize": 12, "max_speed": 0.5}')
    result = run(
        root,
        *("train.py", "print_config", "with", "max_speed=0.25", "a.yaml", "b.json"),
        *("env_config.b=2", "-l", "ERROR"),
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    shown = printed_config(result.stdout + result.stderr)
    assert shown["popsize"] == "12"
    assert shown["max_speed"] == "0.25"
    assert shown["popsize_max"] == "96"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.json",
            '{"env_config": {"py/reduce": [{"py/function": "os.mkdir"}, ["hacked"]]}}',
            "train.py: env_config: 'py/reduce' cannot be a key",
        ),
        (
            "a.pickle",
            "cos\nmkdir\n(S'hacked'\ntR.",
            "train.py: a.pickle is not a .yaml, .yml or .json file",
        ),
        (
            "a.yaml",
            "env_config:\n  a: !!python/object/apply:os.mkdir [hacked]",
            "train.py: a.yaml, line 2: the tag "
            "'tag:yaml.org,2002:python/object/apply:os.mkdir' is not allowed",
        ),
        (
            "a.yaml",
            "env_config: &a\n  a: *a",
            "train.py: a.yaml, line 2: *a contains itself",
        ),
        ("a.yaml", "a: [", "train.py: a.yaml, line 1: "),
        ("b.yaml", "", "train.py: a.yaml: no such file"),
    ],
)
def test_config_files_execute_nothing(tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(content)
    assert error_of("a.yaml" if name == "b.yaml" else name).startswith(message)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    "setting",
    [
        "env_config={'py/reduce': [{'py/function': 'os.mkdir'}, ['hacked']]}",
        "env_config={'a': {'py/object': 'os.mkdir'}}",
        "env_config={'json://\"a\"': 1}",
        "env_config={'a': b'bytes'}",
        "env_config={'a': {1, 2}}",
        "env_config={'a': 1e999}",
        "env_config={1: 2}",
        "env_config.py/object=os.mkdir",
        "env_config=" + "[" * 60 + "]" * 60,
    ],
)
def test_settings_on_the_command_line_are_plain_data(tmp_path, monkeypatch, setting):
    monkeypatch.chdir(tmp_path)
    assert error_of(setting).startswith("train.py: env_config")
    assert not list(tmp_path.iterdir())


def test_a_resumed_run_takes_the_seed_of_its_folder(root, tmp_path):
    small = [setting for setting in SMALL if not setting.startswith("seed")]
    settings = ["env_name=CartPole-v1", *small, "hidden=[]", "run_dir=run"]
    for niters in (1, 2):
        command = ("train.py", "with", *settings, f"niters={niters}")
        result = run(root, *command, cwd=tmp_path)
        assert result.returncode == 0, result.stderr
    (first,) = (tmp_path / "run" / "policies").glob("*_iter1.pickle")
    (second,) = (tmp_path / "run" / "policies").glob("*_iter2.pickle")
    seeds = {policy_metadata(path)["seed"] for path in (first, second)}
    assert seeds == {
        json.loads((tmp_path / "run/run.json").read_text())["config"]["seed"]
    }
    result = run(root, *command, "seed=1", cwd=tmp_path)
    assert result.returncode == 1
    assert "holds a run with a different configuration (seed: " in result.stderr


@pytest.mark.parametrize("room", [100, 1200, 2000])
def test_a_full_disk_is_one_line(root, tmp_path, room):
    """As far as a process can tell: no file may grow beyond `room` bytes."""
    settings = ["env_name=CartPole-v1", *SMALL, "hidden=[]", "run_dir=run"]
    result = subprocess.run(
        [sys.executable, root / "workflow/scripts/train.py", "with", *settings],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": f"{sys.prefix}/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert result.returncode == 1
    assert re.search(r"SacredError: run/[\w./-]+: File too large\n", result.stderr)
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.rglob("*.tmp"))


# What a worker does: it imports the script that was started, and makes its task.
WORKER = """
import runpy, sys
runpy.run_path(sys.argv[1], run_name="__mp_main__")
from pgpelib.tasks.registry import make_task
make_task("posggym:Driving-v1", {}, role="0", partners=["Random-v0"], compiled=True)
print(sorted({"numba", "pandas", "sacred", "torch"} & sys.modules.keys()))
"""


def test_workers_import_what_they_need(root):
    script = root / "workflow/scripts/train.py"
    result = subprocess.run(
        [sys.executable, "-c", WORKER, script], capture_output=True, text=True
    )
    assert result.stdout.strip() == "['numba']", result.stderr


def test_nothing_is_left_beside_the_scripts(root, tmp_path):
    project = tmp_path / "project"
    for folder in ("src", "workflow/scripts"):
        shutil.copytree(
            root / folder,
            project / folder,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    scripts = project / "workflow" / "scripts"
    before = sorted(scripts.rglob("*"))
    settings = ["env_name=CartPole-v1", *SMALL, "hidden=[]", "niters=1"]
    result = run(project, "train.py", "with", *settings, cwd=scripts)
    assert result.returncode == 0, result.stderr
    assert sorted(scripts.rglob("*")) == before
    assert len(list((project / "runs").rglob("*_iter1.pickle"))) == 1


def test_settings_of_the_caller_win(root):
    result = run(root, "train_walker2d.sh", "print_config", "with", "niters=7")
    shown = printed_config(result.stdout + result.stderr)
    assert shown["niters"] == "7"
    assert shown["popsize"] == "100"


def test_tensorboard_reads_what_was_asked_for_and_each_generation_once(root, tmp_path):
    settings = ["env_name=LunarLanderContinuous-v2", "hidden=[]", *SMALL]
    settings += ["tensorboard=True", f"run_dir={tmp_path / 'run'}"]
    # Interrupted after two generations, so to speak, and gone on with.
    for niters in (2, 4):
        result = run(
            root, "train.py", "with", *settings, f"niters={niters}", cwd=tmp_path
        )
        assert result.returncode == 0, result.stderr
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    scalars = events.Scalars("pop_median")
    assert [event.step for event in scalars] == [1, 2, 3, 4]
    with (tmp_path / "run" / "metrics.csv").open() as file:
        medians = [float(row["pop_median"]) for row in csv.DictReader(file)]
    assert [event.value for event in scalars] == pytest.approx(medians)
