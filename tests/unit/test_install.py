"""What `pip install` brings, with and without extras."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from agent_folders import make_agent
from environments import make_environment
from posggym_es.agents.folders import agent_folders, policy_file_of

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "zoo"
LANDER = "LunarLanderContinuous-v2"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that pip builds of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("src", "zoo"):
        ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--wheel-dir", folder, source),
        ],
        check=True,
    )
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory, wheel):
    """Python of `pip install .`."""
    return make_environment(tmp_path_factory.mktemp("base"), wheel)


@pytest.fixture(scope="module")
def with_box2d(tmp_path_factory, wheel):
    """Python of `pip install '.[box2d]'`."""
    return make_environment(tmp_path_factory.mktemp("box2d"), wheel, "box2d")


@pytest.fixture(scope="module")
def lander(tmp_path_factory):
    """The folder of an agent of LunarLander, and its id."""
    folder = tmp_path_factory.mktemp("lander")
    spec, _ = make_agent(folder, LANDER, "made_up")
    return folder, spec.id


def run(python, code, cwd):
    """Run code as a user does who has no checkout."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [python, "-W", "ignore", "-c", code],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )


PLAY = """\
import json, posggym, posggym.agents, posggym_es
ids = {register}
spec = posggym.agents.registry[{agent} or ids[0]]
env = posggym.make(spec.env_id, **(spec.env_args or {{}}))
policies = {{i: posggym.agents.make(spec.id, env.model, i) for i in env.agents}}
observations, _ = env.reset(seed=1)
for policy in policies.values():
    policy.reset(seed=1)
steps = 0
while env.agents and steps < 200:
    actions = {{i: policies[i].step(observations[i]) for i in env.agents}}
    observations, *_, done, _ = env.step(actions)
    steps += 1
    if done:
        break
print(json.dumps([spec.id, steps]))
"""


def test_the_wheel_has_all_that_loading_needs(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    zoo = tmp_path / "posggym_es" / "zoo"
    assert len(agent_folders(zoo)) == len(agent_folders(ZOO))
    assert all(policy_file_of(folder).is_file() for folder in agent_folders(zoo))
    assert not list(zoo.rglob("*.webp"))


def test_only_extras_bring_what_trains_and_simulates(base, with_box2d, tmp_path):
    code = (
        "from importlib.util import find_spec\n"
        "heavy = 'snakemake numba sacred ray pandas scipy matplotlib pybullet mujoco'\n"
        "print(*[name for name in (heavy + ' Box2D').split() if find_spec(name)])"
    )
    assert run(base, code, tmp_path).stdout.split() == []
    assert run(with_box2d, code, tmp_path).stdout.split() == ["Box2D"]


def test_agents_of_the_zoo_play_without_extras(base, tmp_path):
    agent = "Driving-v1/grid=14x14RoundAbout-num_agents=2/pgpe_sp_seed0-v0"
    register = "__import__('posggym_es.zoo').zoo.AGENTS"
    done = run(base, PLAY.format(register=register, agent=repr(agent)), tmp_path)
    assert done.returncode == 0, done.stderr
    name, steps = json.loads(done.stdout.splitlines()[-1])
    assert name == agent
    assert steps > 1


def test_an_agent_of_lunar_lander_plays_with_box2d(with_box2d, lander, tmp_path):
    folder, agent = lander
    register = f"posggym_es.register_agents({str(folder)!r})"
    done = run(with_box2d, PLAY.format(register=register, agent=None), tmp_path)
    assert done.returncode == 0, done.stderr
    name, steps = json.loads(done.stdout.splitlines()[-1])
    assert name == agent
    assert steps > 10


def test_commands_say_which_extra_they_need(base, tmp_path):
    def command(*arguments):
        return subprocess.run(
            [base.with_name("posggym-es"), *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    agent = "Driving-v1/driving/seed3"
    verified = command("verify", agent, "--episodes", "1")
    assert "1 episodes replayed" in verified.stdout, verified.stderr
    film = ("watch", agent, "--output", "film.mp4")
    for arguments, extra in ((film, "film"), (("status",), "pipeline")):
        missing = command(*arguments)
        assert missing.returncode == 1
        assert missing.stderr.endswith(f"pip install 'posggym-es[{extra}]'\n")
        assert len(missing.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("env_id", "extra"),
    [
        (LANDER, "box2d"),
        ("Walker2d-v4", "mujoco"),
        ("HumanoidBulletEnv-v0", "pybullet"),
        ("TinyTrajHumanoidBulletEnv-v0", "pybullet"),
    ],
)
def test_a_missing_simulator_is_a_sentence_with_the_pip_line(
    base, tmp_path, env_id, extra
):
    code = f"import posggym, posggym_gymnasium; posggym.make({env_id!r})"
    done = run(base, code, tmp_path)
    last = done.stderr.splitlines()[-1]
    assert f"{env_id} needs" in last
    assert last.endswith(f"install it with: pip install 'posggym-es[{extra}]'")
