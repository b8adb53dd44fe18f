"""Contract of posggym_gymnasium.ids and of the TinyTraj humanoid."""

import re
import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exact_gymnasium.ids import canonical_env_id, known_env_ids, make_gymnasium
from posggym_gymnasium.ids import AGENT_ID, ENV_TYPE, env_name

MUJOCO_TASKS = [
    "Ant",
    "HalfCheetah",
    "Hopper",
    "Humanoid",
    "HumanoidStandup",
    "InvertedDoublePendulum",
    "InvertedPendulum",
    "Pusher",
    "Reacher",
    "Swimmer",
    "Walker2d",
]

id_texts = st.one_of(
    st.text(max_size=40),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "pybullet_envs:", "gymnasium:", "mine:", "a:b:", ":"]),
        st.sampled_from([*MUJOCO_TASKS, "LunarLander", "TinyTrajHumanoidBulletEnv"]),
        st.sampled_from(["", "-v0", "-v2", "-v3", "-v4", "-v2\n"]),
    ),
)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("pybullet_envs:HumanoidBulletEnv-v0", "HumanoidBulletEnv-v0"),
        (
            "tinytraj_humanoid_bullet:TinyTrajHumanoidBulletEnv-v0",
            "TinyTrajHumanoidBulletEnv-v0",
        ),
        ("posggym_gymnasium:Walker2d-v2", "Walker2d-v4"),
        ("LunarLanderContinuous-v2", "LunarLanderContinuous-v2"),
        ("LunarLander-v2", "LunarLander-v2"),
        ("CartPole-v1", "CartPole-v1"),
        ("my_module:Humanoid-v2", "my_module:Humanoid-v2"),
        ("my_module:MyEnv-v0", "my_module:MyEnv-v0"),
        ("MyHumanoid-v2", "MyHumanoid-v2"),
        ("phys2d/CartPole-v1", "phys2d/CartPole-v1"),
    ],
)
def test_canonical_env_id(written, canonical):
    assert canonical_env_id(written) == canonical


@pytest.mark.parametrize("task", MUJOCO_TASKS)
def test_old_mujoco_versions_become_one_that_exists(task):
    assert {canonical_env_id(f"{task}-v{v}") for v in (2, 3, 4)} == {f"{task}-v4"}
    assert f"{task}-v4" in gymnasium.registry


@given(id_texts)
def test_canonical_env_id_is_idempotent(name):
    once = canonical_env_id(name)
    assert canonical_env_id(once) == once


@pytest.mark.parametrize(
    ("env_id", "name"),
    [
        ("HumanoidBulletEnv-v0", "humanoid_bullet_env"),
        ("LunarLanderContinuous-v2", "lunar_lander_continuous"),
        ("Walker2d-v4", "walker2d"),
        ("Walker2DBulletEnv-v0", "walker2d_bullet_env"),
        ("FrozenLake8x8-v1", "frozen_lake8x8"),
        ("TinyTrajHumanoidBulletEnv-v0", "tiny_traj_humanoid_bullet_env"),
        ("phys2d/CartPole-v1", "phys2d_cart_pole"),
        ("my_module:MyEnv-v12", "my_env"),
        ("2048-v0", "env_2048"),
    ],
)
def test_env_name(env_id, name):
    assert env_name(env_id) == name


@given(id_texts)
def test_env_name_is_a_folder_name_or_an_error(env_id):
    try:
        name = env_name(env_id)
    except ValueError:
        bare = re.sub(r"-v\d+\Z", "", env_id.rpartition(":")[2])
        assert not re.search("[A-Za-z0-9]", bare)
    else:
        assert re.fullmatch("[a-z][a-z0-9_]*", name)


def test_env_names_of_known_tasks_differ():
    tasks = {re.sub(r"-v\d+\Z", "", env_id) for env_id in known_env_ids()}
    assert len({env_name(task) for task in tasks}) == len(tasks) > 40


def test_constants_fit_the_layout():
    assert re.fullmatch("[a-z][a-z0-9_]*", ENV_TYPE)
    assert AGENT_ID == "0"


@pytest.mark.parametrize(
    ("written", "env_id", "steps"),
    [
        ("pybullet_envs:HopperBulletEnv-v0", "HopperBulletEnv-v0", 1000),
        ("Hopper-v3", "Hopper-v4", 1000),
        ("CartPole-v1", "CartPole-v1", 500),
    ],
)
def test_make_gymnasium_keeps_the_time_limit_only(written, env_id, steps):
    env = make_gymnasium(written)
    assert env.spec.id == env_id
    assert env.spec.max_episode_steps == steps
    layers = []
    layer = env
    while layer is not env.unwrapped:
        layers.append(type(layer).__name__)
        layer = layer.env
    assert layers == ["TimeLimit", "OrderEnforcing"]
    env.close()


def test_make_gymnasium_passes_the_config_on():
    env = make_gymnasium("LunarLander-v2", continuous=True, max_episode_steps=7)
    assert isinstance(env.action_space, gymnasium.spaces.Box)
    assert env.spec.max_episode_steps == 7
    env.close()


@pytest.mark.parametrize(
    ("unknown", "closest"),
    [
        ("HumanoidBulet-v0", "HumanoidBulletEnv-v0"),
        ("LunarLander", "LunarLander-v2"),
        ("TinyTrajHumanoid-v0", "TinyTrajHumanoidBulletEnv-v0"),
        ("pybullet_envs:HoperBulletEnv-v0", "HopperBulletEnv-v0"),
        ("no_such_module:CartPole-v1", "CartPole-v1"),
    ],
)
def test_unknown_id_is_named_with_the_closest_known(unknown, closest):
    with pytest.raises(ValueError, match="unknown Gymnasium environment") as error:
        make_gymnasium(unknown)
    assert repr(unknown) in str(error.value)
    assert closest in str(error.value)


def test_module_of_the_user_is_imported(tmp_path, monkeypatch):
    (tmp_path / "module_of_the_user.py").write_text(
        "import gymnasium\n"
        "gymnasium.register(id='OfTheUser-v0', max_episode_steps=3,\n"
        "    entry_point='gymnasium.envs.classic_control:CartPoleEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    env = make_gymnasium("module_of_the_user:OfTheUser-v0")
    assert env.spec.max_episode_steps == 3
    env.close()


def test_missing_dependency_of_a_module_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "module_in_need.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency"):
        make_gymnasium("module_in_need:Any-v0")


def test_import_loads_no_simulator():
    code = (
        "import sys, exact_gymnasium.ids as ids; ids.known_env_ids();"
        "print(*{'pybullet', 'mujoco', 'Box2D', 'pygame', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_tinytraj_is_the_humanoid_without_alive_bonus():
    from pybullet_envs_gymnasium.gym_locomotion_envs import HumanoidBulletEnv

    base = make_gymnasium("HumanoidBulletEnv-v0")
    tiny = make_gymnasium("TinyTrajHumanoidBulletEnv-v0")
    assert isinstance(tiny.unwrapped, HumanoidBulletEnv)
    assert tiny.observation_space == base.observation_space
    assert tiny.action_space == base.action_space
    np.testing.assert_array_equal(base.reset(seed=4)[0], tiny.reset(seed=4)[0])
    actions = np.random.default_rng(0).uniform(-1, 1, (40, 17)).astype(np.float32)
    alive = set()
    for action in actions:
        obs, reward, terminated, truncated, info = base.step(action)
        tiny_obs, tiny_reward, *rest = tiny.step(action)
        np.testing.assert_array_equal(tiny_obs, obs)
        assert type(tiny_reward) is float
        assert tiny_reward == sum(base.unwrapped.rewards[1:])
        assert reward - tiny_reward == pytest.approx(base.unwrapped.rewards[0])
        assert rest == [terminated, truncated, info]
        alive.add(base.unwrapped.rewards[0])
    assert len(alive) == 2, "the episode must cover standing and having fallen"
    base.close()
    tiny.close()


def test_tinytraj_truncates_after_200_steps():
    env = make_gymnasium("TinyTrajHumanoidBulletEnv-v0")
    env.reset(seed=0)
    truncations = [env.step(np.zeros(17, np.float32))[3] for _ in range(200)]
    assert truncations == [False] * 199 + [True]
    env.close()
