"""Contract of the POSGGym environments of Gymnasium tasks, on the real simulators."""

import copy
import pickle
import subprocess
import sys

import gymnasium
import numpy as np
import posggym
import posggym.agents
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posggym.utils.env_checker import check_env
from posggym.utils.model_checker import check_model

import posggym_gymnasium
from exact_gymnasium.ids import make_gymnasium
from posggym_gymnasium.env import GymnasiumEnv, GymnasiumModel, ReplayState

PLAYED = ["LunarLanderContinuous-v2", "HumanoidBulletEnv-v0", "Walker2d-v4"]
# PyBullet and Box2D carry contacts from one episode into the next.
BRANCHED = [
    "CartPole-v1",
    "HumanoidBulletEnv-v0",
    "HalfCheetahBulletEnv-v0",
    "Walker2d-v4",
    "LunarLander-v2",
    "BipedalWalker-v3",
]


def draw_actions(space, count, seed):
    """Draw actions as an agent would give them, without touching the space."""
    space = copy.deepcopy(space)
    space.seed(seed)
    return [space.sample() for _ in range(count)]


def gymnasium_episode(env, seed, actions):
    """Play all actions, the episode's end notwithstanding."""
    episode = [env.reset(seed=seed)[0]]
    for action in actions:
        episode.append(env.step(action))
    return episode


def assert_same_episode(left, right):
    assert len(left) == len(right)
    np.testing.assert_array_equal(left[0], right[0])
    for (obs_a, *rest_a), (obs_b, *rest_b) in zip(left[1:], right[1:], strict=True):
        np.testing.assert_array_equal(obs_a, obs_b)
        assert rest_a == rest_b


def posggym_episode(env, seed, actions):
    episode = [env.reset(seed=seed)[0]["0"]]
    for action in actions:
        obs, reward, term, trunc, done, info = env.step({"0": action})
        assert done == (term["0"] or trunc["0"])
        assert type(reward["0"]) is float
        episode.append((obs["0"], reward["0"], term["0"], trunc["0"], info["0"]))
    return episode


@pytest.mark.parametrize("env_id", [*PLAYED, "CartPole-v1"])
def test_episodes_are_those_of_gymnasium(env_id):
    env = GymnasiumEnv(env_id)
    assert env.possible_agents == ("0",)
    for seed in (0, 7, 2**31):
        twin = make_gymnasium(env_id)
        twin.reset(seed=1)
        assert env.action_spaces == {"0": twin.action_space}
        assert env.observation_spaces == {"0": twin.observation_space}
        actions = draw_actions(twin.action_space, 120, seed)
        expected = gymnasium_episode(twin, seed, actions)
        assert any(terminated for _, _, terminated, *_ in expected[1:])
        assert_same_episode(posggym_episode(env, seed, actions), expected)
        twin.close()
    env.close()


@pytest.mark.parametrize("env_id", ["Walker2d-v4", "CartPole-v1"])
def test_episodes_are_those_of_a_gymnasium_env_in_use(env_id):
    env = GymnasiumEnv(env_id)
    twin = make_gymnasium(env_id)
    for seed, steps in enumerate([3, 150, 1, 40, 90]):
        actions = draw_actions(twin.action_space, steps, seed)
        expected = gymnasium_episode(twin, seed, actions)
        assert_same_episode(posggym_episode(env, seed, actions), expected)
    env.close()
    twin.close()


@pytest.mark.slow
def test_bullet_episodes_do_not_depend_on_the_ones_before():
    env = GymnasiumEnv("HumanoidBulletEnv-v0")
    actions = draw_actions(env.action_spaces["0"], 300, 0)
    episodes = []
    for seed in range(6):
        # Rolling on the floor is what leaves most contacts behind.
        posggym_episode(env, seed + 100, actions[:200])
        episodes.append(posggym_episode(env, seed, actions))
    env.close()
    for seed, episode in enumerate(episodes):
        twin = make_gymnasium("HumanoidBulletEnv-v0")
        twin.reset(seed=1)
        assert_same_episode(episode, gymnasium_episode(twin, seed, actions))
        twin.close()


@pytest.mark.parametrize("env_id", BRANCHED)
def test_stepping_from_any_state_is_exact(env_id):
    model = GymnasiumModel(env_id)
    space = model.action_spaces["0"]

    @settings(max_examples=12)
    @given(
        st.lists(st.integers(0, 5), min_size=1, max_size=3),
        st.lists(
            st.tuples(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 40)),
            min_size=2,
            max_size=6,
        ),
    )
    def branch(seeds, branches):
        # Grow trees from several initial states, hopping between their states ...
        nodes = []
        for seed in seeds:
            model.seed(seed)
            state = model.sample_initial_state()
            nodes.append((state, [], [model.sample_initial_obs(state)["0"]]))
        for index, action_seed, length in branches:
            state, actions, episode = nodes[index % len(nodes)]
            for action in draw_actions(space, length, action_seed):
                step = model.step(state, {"0": action})
                state, actions = step.state, [*actions, action]
                returns = (step.rewards, step.terminations, step.truncations)
                outcome = [step.observations["0"], *(r["0"] for r in returns)]
                episode = [*episode, (*outcome, step.infos["0"])]
                nodes.append((state, actions, episode))
        # ... and play the longest paths straight in simulators of their own.
        for state, actions, episode in sorted(nodes, key=lambda n: -len(n[1]))[:2]:
            twin = make_gymnasium(env_id)
            twin.reset(seed=1)
            assert_same_episode(episode, gymnasium_episode(twin, state.seed, actions))
            twin.close()

    branch()
    model.close()


class StepCounter(gymnasium.Env):
    """Adds up its actions, and counts over all instances what that takes."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float64)
    steps = 0
    opened = 0

    def __init__(self):
        StepCounter.opened += 1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.total = self.np_random.uniform(size=1)
        return self.total, {}

    def step(self, action):
        StepCounter.steps += 1
        # In place, as some real environments treat their arrays.
        action *= 2.0
        self.total += action
        return self.total, 0, False, False, {}


gymnasium.register(id="StepCounter-v0", entry_point=StepCounter)


def test_cost_of_a_step():
    model = GymnasiumModel("StepCounter-v0")
    model.seed(0)
    states = [model.sample_initial_state()]

    def cost(state):
        before = StepCounter.steps
        step = model.step(state, {"0": np.ones(1)})
        return StepCounter.steps - before, step

    for _ in range(50):
        count, step = cost(states[-1])
        assert count == 1
        states.append(step.state)
    assert cost(states[20])[0] == 21  # another state: replayed from the start
    assert cost(states[0])[0] == 1
    assert cost(states[50])[0] == 51
    # The simulator is one step past states[50]; rewind to states[1], then jump ahead:
    # only the 39 steps in between and the new one are taken.
    model._simulator.move_to(states[1])
    assert cost(states[40])[0] == 40
    np.testing.assert_array_equal(states[3].obs, states[0].obs + 6.0)


def test_unknown_simulators_are_made_anew_for_each_episode():
    model = GymnasiumModel("StepCounter-v0")
    before = StepCounter.opened
    for _ in range(3):
        model.sample_initial_state()
    assert StepCounter.opened == before + 3


def test_seeding_a_model_leaves_the_spaces_of_gymnasium_alone():
    StepCounter.action_space.seed(1)
    expected = copy.deepcopy(StepCounter.action_space).sample()
    GymnasiumModel("StepCounter-v0").seed(5)
    assert StepCounter.action_space.sample() == expected


def test_history_is_shared_and_safe_from_the_caller():
    model = GymnasiumModel("StepCounter-v0")
    model.seed(3)
    start = model.sample_initial_state()
    start_value = start.obs.item()
    model.sample_initial_obs(start)["0"][:] = 99.0
    action = np.full(1, 0.5)
    first = model.step(start, {"0": action})
    assert first.state.parent is start
    assert action.item() == 0.5, "the environment wrote to the caller's action"
    action[:] = -1.0
    first.observations["0"][:] = 99.0
    second = model.step(first.state, {"0": np.zeros(1)})
    assert second.observations["0"].item() == start_value + 1.0
    again = model.step(start, {"0": np.full(1, 0.5)})
    assert start.obs.item() == start_value
    assert first.state.obs.item() == again.state.obs.item() == start_value + 1.0
    replayed = model.step(first.state, {"0": np.zeros(1)})
    assert replayed.state == second.state
    assert replayed.observations["0"].item() == start_value + 1.0


def test_equality_means_the_same_recipe():
    model = GymnasiumModel("CartPole-v1")
    other = GymnasiumModel("CartPole-v1")
    for m in (model, other):
        m.seed(1)
    a, b = model.sample_initial_state(), other.sample_initial_state()
    assert a == b
    for action in (0, 1, 1):
        a = model.step(a, {"0": action}).state
        b = other.step(b, {"0": action}).state
    assert a == b
    assert a.parent != b
    assert model.step(a, {"0": 0}).state != model.step(a, {"0": 1}).state
    differs_early = model.sample_initial_state()
    for action in (0, 1, 1):
        differs_early = model.step(differs_early, {"0": action}).state
    assert differs_early != a
    assert a != "a state"


def test_equality_reaches_into_actions_with_parts():
    def state(action):
        start = ReplayState(0, None, None, np.zeros(1), 0, False, False)
        return ReplayState(0, start, action, np.zeros(1), 1, False, False)

    def action(x):
        return {"move": (np.array([x, 1.0]), 2), "speak": 1}

    assert state(action(0.5)) == state(action(0.5))
    assert state(action(0.5)) != state(action(0.25))
    assert state(action(0.5)) != state({"move": (np.array([0.5, 1.0]), 2)})


def test_long_histories_copy_pickle_and_die():
    model = GymnasiumModel("CartPole-v1")
    model.seed(0)
    state = model.sample_initial_state()
    length = 20 * sys.getrecursionlimit()
    for step in range(length):
        state = model.step(state, {"0": step % 2}).state
    assert copy.deepcopy(state) is copy.copy(state) is state
    twin = pickle.loads(pickle.dumps(state))
    assert twin == state
    assert twin.num_steps == length
    assert len(repr(state)) < 200
    expected = model.step(state, {"0": 1})
    actual = GymnasiumModel("CartPole-v1").step(twin, {"0": 1})
    np.testing.assert_array_equal(actual.observations["0"], expected.observations["0"])
    assert actual.state == expected.state
    model.close()
    # Collecting a chain must not recurse either.
    del state, twin, expected, actual


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_models_can_be_copied(duplicate):
    model = GymnasiumModel("HumanoidBulletEnv-v0")
    model.seed(2)
    state = model.sample_initial_state()
    actions = draw_actions(model.action_spaces["0"], 4, 0)
    for action in actions[:3]:
        state = model.step(state, {"0": action}).state
    twin = duplicate(model)
    expected, actual = (m.step(state, {"0": actions[3]}) for m in (model, twin))
    np.testing.assert_array_equal(actual.observations["0"], expected.observations["0"])
    assert twin.sample_initial_state() == model.sample_initial_state()
    model.close()
    twin.close()


def test_seed_fixes_the_whole_sequence_of_episodes():
    env, twin = GymnasiumEnv("CartPole-v1"), GymnasiumEnv("CartPole-v1")
    twin.reset()
    sequences = []
    for e in (env, twin):
        e.reset(seed=11)
        seeds = [e.state.seed]
        for _ in range(4):
            e.reset()
            seeds.append(e.state.seed)
        sequences.append(seeds)
    assert sequences[0] == sequences[1]
    assert sequences[0][0] == 11
    assert len(set(sequences[0])) == 5
    env.reset(seed=11)
    twin.reset(seed=11)
    samples = [[e.action_spaces["0"].sample() for _ in range(20)] for e in (env, twin)]
    assert samples[0] == samples[1]


def test_truncation_comes_from_gymnasium():
    env = posggym.make("Pendulum-v1")
    env.reset(seed=0)
    for step in range(1, 201):
        *_, term, trunc, done, _ = env.step({"0": np.zeros(1, np.float32)})
        assert (term["0"], trunc["0"], done) == (False, step == 200, step == 200)
    env.close()


@pytest.mark.parametrize("env_id", [*PLAYED, "CartPole-v1", "FrozenLake-v1"])
def test_posggym_accepts_environment_and_model(env_id):
    env = posggym.make(env_id)
    assert env.spec.id == env_id
    assert env.spec.max_episode_steps is None
    assert env.model.spec is not None
    # Skips only the human mode, which needs a display.
    check_env(env.unwrapped, skip_render_check=True)
    check_model(env.model)
    obs, infos = env.reset(seed=0)
    assert set(obs) == set(infos) == set(env.agents) == {"0"}
    env.step({"0": env.action_spaces["0"].sample()})
    env.close()


def test_make_by_module():
    # In a new interpreter, where nothing has imported the package yet.
    code = (
        "import sys, posggym;"
        "assert 'posggym_gymnasium' not in sys.modules;"
        "env = posggym.make('posggym_gymnasium:HumanoidBulletEnv-v0');"
        "print('shape', env.reset(seed=0)[0]['0'].shape, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "shape (44,)" in done.stderr


def test_config_reaches_gymnasium():
    env = posggym.make("LunarLander-v2", continuous=True)
    assert isinstance(env.action_spaces["0"], gymnasium.spaces.Box)
    env.close()
    with pytest.raises(TypeError, match="no_such_argument"):
        posggym.make("CartPole-v1", no_such_argument=1)


def test_reset_options_are_refused():
    env = GymnasiumEnv("CartPole-v1")
    with pytest.raises(ValueError, match="options"):
        env.reset(options={"low": 0.0})


def test_agents_are_made_for_the_spaces():
    posggym.agents.register(
        policy_name="Anyhow",
        entry_point=posggym.agents.random_policies.RandomPolicy,
        version=0,
        env_id="LunarLanderContinuous-v2",
        env_args=None,
        valid_agent_ids=None,
    )
    env = posggym.make("LunarLanderContinuous-v2")
    policy = posggym.agents.make("LunarLanderContinuous-v2/Anyhow-v0", env.model, "0")
    obs, _ = env.reset(seed=0)
    policy.reset(seed=0)
    for _ in range(5):
        action = policy.step(obs["0"])
        assert env.action_spaces["0"].contains(action)
        obs, *_ = env.step({"0": action})
    env.close()


def test_picture_is_of_the_current_state():
    twin = make_gymnasium("CartPole-v1", render_mode="rgb_array")
    twin.reset(seed=6)
    env = posggym.make("CartPole-v1", render_mode="rgb_array")
    assert env.metadata["render_fps"] == twin.metadata["render_fps"]
    env.reset(seed=6)
    frames = [env.render()]
    for _ in range(8):
        env.step({"0": 1})
        twin.step(1)
        # A planner at work in the model must not show.
        env.model.step(env.model.sample_initial_state(), {"0": 0})
        frames.append(env.render())
        np.testing.assert_array_equal(frames[-1], twin.render())
    assert frames[0].dtype == np.uint8
    assert (frames[0] != frames[-1]).any()
    env.close()
    twin.close()


def test_bullet_picture_has_colours_of_one_byte():
    env = posggym.make("HumanoidBulletEnv-v0", render_mode="rgb_array")
    env.reset(seed=0)
    frame = env.render()
    assert (frame.dtype, frame.shape) == (np.uint8, (240, 320, 3))
    assert frame.std() > 0
    env.close()


def test_render_modes_are_those_of_the_task():
    with pytest.raises(ValueError, match="rgb_array, not 'ansi'"):
        posggym.make("CartPole-v1", render_mode="ansi")
    env = GymnasiumEnv("FrozenLake-v1", render_mode="ansi")
    env.reset(seed=0)
    assert "S" in env.render()
    assert GymnasiumEnv("CartPole-v1").render() is None


def test_closed_environment_can_be_reset():
    env = GymnasiumEnv("HumanoidBulletEnv-v0")
    expected = env.reset(seed=1)[0]["0"]
    env.close()
    np.testing.assert_array_equal(env.reset(seed=1)[0]["0"], expected)
    env.close()


def test_every_shipped_task_is_registered():
    ours = {
        env_id
        for env_id, spec in posggym.envs.registry.items()
        if spec.kwargs.get("env_id") == env_id
    }
    assert {*PLAYED, "CartPole-v1", "Humanoid-v4", "LunarLander-v2"} <= ours
    assert {"TinyTrajHumanoidBulletEnv-v0", "AntBulletEnv-v0"} <= ours
    assert not {"Humanoid-v2", "GymV26Environment-v0"} & ours
    assert not any("/" in env_id for env_id in ours)
    specs = posggym.envs.registry
    unrepeatable = {env_id for env_id in ours if specs[env_id].nondeterministic}
    assert unrepeatable == {"HumanoidFlagrunHarderBulletEnv-v0"}
    for env_id in posggym.envs.registry:
        if env_id.startswith(("Driving", "PredatorPrey", "UAV")):
            assert env_id not in ours


def test_tasks_that_are_known_to_gymnasium_already_are_registered_too():
    code = (
        "import tinytraj_humanoid_bullet, posggym_gymnasium, posggym;"
        "posggym.envs.registry['TinyTrajHumanoidBulletEnv-v0']"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_register_is_idempotent_and_overrides_nothing():
    before = dict(posggym.envs.registry)
    assert posggym_gymnasium.register("pybullet_envs:AntBulletEnv-v0") == (
        "AntBulletEnv-v0"
    )
    assert posggym_gymnasium.ensure_registered("Humanoid-v2") == "Humanoid-v4"
    assert posggym_gymnasium.ensure_registered("Driving-v1") == "Driving-v1"
    assert posggym.envs.registry == before
    with pytest.raises(ValueError, match="unknown Gymnasium environment 'Driving-v1'"):
        posggym_gymnasium.register("Driving-v1")
    gymnasium.register(id="TwoPaths-v0", entry_point=StepCounter)
    try:
        with pytest.raises(ValueError, match="a different environment"):
            posggym_gymnasium.register("TwoPaths-v0")
    finally:
        del gymnasium.registry["TwoPaths-v0"]
    with pytest.raises(ValueError, match="namespace"):
        posggym_gymnasium.ensure_registered("phys2d/CartPole-v1")
    assert posggym.envs.registry == before


def test_import_overrides_nothing():
    code = (
        "import posggym;"
        "posggym.register(id='CartPole-v1', entry_point='theirs:Env');"
        "import posggym_gymnasium;"
        "print(posggym.spec('CartPole-v1').entry_point)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "theirs:Env"


def test_tasks_of_other_packages_can_be_added(tmp_path, monkeypatch):
    (tmp_path / "other_package.py").write_text(
        "import gymnasium\n"
        "gymnasium.register(id='OfOthers-v3', max_episode_steps=2,\n"
        "    entry_point='gymnasium.envs.classic_control:CartPoleEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    name = "other_package:OfOthers-v3"
    try:
        for _ in range(2):
            assert posggym_gymnasium.ensure_registered(name) == "OfOthers-v3"
        env = posggym.make("OfOthers-v3")
        env.reset(seed=0)
        assert [env.step({"0": 0})[3]["0"] for _ in range(2)] == [False, True]
    finally:
        posggym.envs.registry.pop("OfOthers-v3", None)
