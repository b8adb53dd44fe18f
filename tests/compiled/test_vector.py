"""The vector interface steps many environments as POSGGym steps each."""

import numpy as np
import posggym
import pytest
from posggym.agents.utils.processors import FlattenProcessor, RescaleProcessor
from side_by_side import case_name, flat, random_actions

from posggym_compiled import UnsupportedError, make_vec
from posggym_compiled.interface import Discrete

NUM_ENVS = 3
ENVS = [
    ("Driving-v1", {"grid": "3x3"}, 60),
    ("PursuitEvasion-v1", {"grid": "8x8"}, 250),
    ("UAV-v0", {}, 120),
    ("DrivingGen-v1", {"generator_params": "7x7", "n_grids": 2}, 320),
    ("LevelBasedForaging-v3", {"observation_mode": "vector"}, 120),
]


def processed(env, name, observation):
    space = env.observation_spaces[name]
    if isinstance(observation, np.ndarray):
        return RescaleProcessor(space)(observation)
    return FlattenProcessor(space)(observation)


class Reference:
    """One environment of POSGGym that starts over by itself."""

    def __init__(self, env_id, env_args, process):
        self.env = posggym.make(env_id, disable_env_checker=True, **env_args)
        self.process = process

    def observations(self, seen):
        if self.process:
            return {i: processed(self.env, i, seen[i]) for i in seen}
        return {i: np.array(flat(seen[i])) for i in seen}

    def step(self, actions):
        seen, rewards, terminated, truncated, done, _ = self.env.step(actions)
        final = self.observations(seen)
        if done:
            seen, _ = self.env.reset()
        return self.observations(seen), rewards, terminated, truncated, done, final


@pytest.mark.parametrize(("env_id", "env_args", "steps"), ENVS, ids=case_name)
@pytest.mark.parametrize("process", [False, True])
def test_steps_are_those_of_posggym(env_id, env_args, steps, process):
    vec = make_vec(env_id, NUM_ENVS, processed=process, **env_args)
    references = [Reference(env_id, env_args, process) for _ in range(NUM_ENVS)]
    seen, _ = vec.reset(seed=5)
    for n, reference in enumerate(references):
        expected = reference.observations(reference.env.reset(seed=5 + n)[0])
        for i in vec.agents:
            np.testing.assert_array_equal(seen[i][n], expected[i])
    rng = np.random.default_rng(0)
    actions = [random_actions(vec.world, rng, steps, 0.3) for _ in references]
    ended = 0
    for t in range(steps):
        joint = {
            i: np.array([own[t, k] for own in actions])
            for k, i in enumerate(vec.agents)
        }
        seen, rewards, terminated, truncated, infos = vec.step(joint)
        for n, reference in enumerate(references):
            discrete = isinstance(vec.world.actions[0], Discrete)
            own = {i: int(joint[i][n]) if discrete else joint[i][n] for i in joint}
            expected = reference.step(own)
            assert infos["dones"][n] == expected[4]
            ended += expected[4]
            for i in vec.agents:
                np.testing.assert_array_equal(seen[i][n], expected[0][i])
                assert rewards[i][n] == expected[1][i]
                assert terminated[i][n] == expected[2][i]
                assert truncated[i][n] == expected[3][i]
                if expected[4]:
                    final = infos["final_observation"][i][n]
                    np.testing.assert_array_equal(final, expected[5][i])
    assert ended >= NUM_ENVS


def test_results_of_a_step_stay_when_the_next_is_made():
    vec = make_vec("CooperativeReaching-v0", 4, processed=True)
    first, _ = vec.reset(seed=0)
    before = {i: first[i].copy() for i in first}
    vec.step({i: np.full(4, 1) for i in vec.agents})
    for i in first:
        np.testing.assert_array_equal(first[i], before[i])


def test_environments_without_seeds_differ():
    vec = make_vec("CooperativeReaching-v0", 64)
    seen, _ = vec.reset()
    again, _ = vec.reset()
    assert len(np.unique(seen["0"], axis=0)) > 1
    assert (seen["0"] != again["0"]).any()


def test_calls_that_make_no_sense_are_refused():
    vec = make_vec("CooperativeReaching-v0", 2)
    with pytest.raises(RuntimeError, match="reset"):
        vec.step({"0": [0, 0], "1": [0, 0]})
    with pytest.raises(ValueError, match="3 seeds for 2 environments"):
        vec.reset(seed=[1, 2, 3])
    vec.reset(seed=1)
    with pytest.raises(ValueError, match="no actions of agent '1'"):
        vec.step({"0": [0, 0]})
    with pytest.raises(ValueError, match=r"actions of agent '0': \(3,\), not \(2,\)"):
        vec.step({"0": [0, 0, 0], "1": [0, 0]})
    with pytest.raises(ValueError, match="agent '1' is not in 0 to 4"):
        vec.step({"0": [0, 0], "1": [0, 5]})
    with pytest.raises(ValueError, match="num_envs"):
        make_vec("CooperativeReaching-v0", 0)
    with pytest.raises(UnsupportedError, match="Chess-v0: not compiled"):
        make_vec("Chess-v0", 2)
