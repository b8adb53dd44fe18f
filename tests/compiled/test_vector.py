"""The vector interface steps many environments as POSGGym steps each."""

import numpy as np
import pytest

from posggym_compiled import UnsupportedError, make_vec
from posggym_compiled.interface import Dense
from side_by_side import Reference, case_name, random_actions

NUM_ENVS = 3
ENVS = [
    ("Driving-v1", {"grid": "3x3"}, 60),
    ("PursuitEvasion-v1", {"grid": "8x8"}, 250),
    ("UAV-v0", {}, 120),
    ("DrivingGen-v1", {"generator_params": "7x7", "n_grids": 2}, 320),
    ("LevelBasedForaging-v3", {"observation_mode": "vector"}, 120),
    ("LevelBasedForaging-v3", {"observation_mode": "grid", "size": 5}, 60),
    ("MultiAgentTiger-v0", {"max_episode_steps": 7}, 20),
    ("DrivingContinuous-v0", {"world": "6x6Intersection", "max_episode_steps": 9}, 20),
]


def random_joint_actions(vec, steps, process):
    """Return joint actions; those of a Box may lie outside of it."""
    rng = np.random.default_rng(0)
    own = [random_actions(vec.world, rng, steps, 0.3) for _ in range(vec.num_envs)]
    actions = np.stack(own, axis=1)
    if process and isinstance(vec.world.actions[0], Dense):
        actions = rng.uniform(-1.2, 1.2, actions.shape)
    return [{i: joint[:, k] for k, i in enumerate(vec.agents)} for joint in actions]


@pytest.mark.parametrize(("env_id", "env_args", "steps"), ENVS, ids=case_name)
@pytest.mark.parametrize("process", [False, True])
def test_steps_are_those_of_posggym(env_id, env_args, steps, process):
    vec = make_vec(env_id, NUM_ENVS, processed=process, **env_args)
    references = [Reference(env_id, env_args, process) for _ in range(NUM_ENVS)]
    seen, _ = vec.reset(seed=5)
    for n, reference in enumerate(references):
        expected = reference.reset(5 + n)
        for i in vec.agents:
            np.testing.assert_array_equal(seen[i][n], expected[i])
            assert process or seen[i].dtype == expected[i].dtype
    ended = 0
    for joint in random_joint_actions(vec, steps, process):
        seen, rewards, terminated, truncated, infos = vec.step(joint)
        for n, reference in enumerate(references):
            last, *results, done = reference.step({i: joint[i][n] for i in joint})
            assert infos["dones"][n] == done
            expected = reference.reset() if done else last
            ended += done
            for i in vec.agents:
                np.testing.assert_array_equal(seen[i][n], expected[i])
                got = rewards[i][n], terminated[i][n], truncated[i][n]
                assert got == tuple(result[i] for result in results)
                if done:
                    final = infos["final_observation"][i][n]
                    np.testing.assert_array_equal(final, last[i])
    assert ended >= NUM_ENVS


def test_infos_tell_returns_and_lengths_where_episodes_ended():
    vec = make_vec("Driving-v1", 20, grid="3x3", num_agents=2)
    vec.reset(seed=3)
    returns = {i: np.zeros(20) for i in vec.agents}
    lengths, ended = np.zeros(20, np.int64), 0
    for joint in random_joint_actions(vec, 80, False):
        _, rewards, _, _, infos = vec.step(joint)
        lengths += 1
        for i in vec.agents:
            returns[i] += rewards[i]
        done = infos["dones"]
        assert ("final_info" in infos) == ("final_observation" in infos) == done.any()
        if done.any():
            assert (infos["_final_info"] == done).all()
            assert (infos["_final_observation"] == done).all()
            episode = infos["final_info"]["episode"]
            assert (episode["l"] == np.where(done, lengths, 0)).all()
            for i in vec.agents:
                assert (episode["r"][i] == np.where(done, returns[i], 0)).all()
                returns[i][done] = 0
            lengths[done] = 0
            ended += done.sum()
    assert ended > 20


def test_a_reset_begins_new_episodes_everywhere():
    vec = make_vec("RockPaperScissors-v0", 2, max_episode_steps=3)
    vec.reset(seed=0)
    actions = {"0": [0, 0], "1": [1, 1]}
    vec.step(actions)
    vec.reset()
    dones = [vec.step(actions).infos["dones"].tolist() for _ in range(3)]
    assert dones == [[False, False], [False, False], [True, True]]


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
    with pytest.raises(ValueError, match="actions of agent '1' are not integers"):
        vec.step({"0": [0, 0], "1": [0.0, 1.0]})
    with pytest.raises(ValueError, match="num_envs"):
        make_vec("CooperativeReaching-v0", 0)
    with pytest.raises(UnsupportedError, match="Chess-v0: not compiled"):
        make_vec("Chess-v0", 2)


def test_an_environment_may_have_any_argument():
    with pytest.raises(UnsupportedError, match="Chess-v0: not compiled"):
        make_vec("Chess-v0", 2, env_id="other")
