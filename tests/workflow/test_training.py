"""Training: the same result everywhere, nothing lost, real improvement."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import posggym
import psutil
import pytest

from pgpelib.engines.slurm import allocated_nodes
from pgpelib.restore import load_policy
from pgpelib.training.config import TrainingConfig
from pgpelib.training.estimates import format_duration, seconds_left
from pgpelib.training.loop import RunLockedError, RunMismatchError, Training
from pgpelib.training.run_folder import DamagedRunError, read_state
from training_runs import LANDER, results, start_training, train, wait_for


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Path:
    """An uninterrupted run with one worker."""
    run_dir = tmp_path_factory.mktemp("reference")
    train(run_dir)
    return run_dir


@pytest.mark.parametrize("num_cpus", [2, 3])
def test_the_number_of_workers_changes_nothing(reference, tmp_path, num_cpus):
    train(tmp_path, num_cpus=num_cpus)
    assert results(tmp_path) == results(reference)


def test_another_seed_is_another_run(reference, tmp_path):
    train(tmp_path, seed=4)
    assert results(tmp_path)[0] != results(reference)[0]


def test_adaptive_population_and_intervals(reference):
    _, metrics, policies = results(reference)
    assert [row["generation"] for row in metrics] == ["1", "2", "3"]
    for row in metrics:
        enough = int(row["pop_timesteps"]) >= 2500
        assert enough or int(row["popsize"]) == 36
    # Every second generation, and the last one.
    assert [row["re_eval_mean"] != "" for row in metrics] == [False, True, True]
    assert sorted(policies) == [(2, None), (3, None)]


def test_a_finished_run_goes_on_when_niters_grows(reference, tmp_path):
    train(tmp_path, niters=1)
    train(tmp_path, niters=3)
    (state, metrics, policies), expected = results(tmp_path), results(reference)
    assert state == expected[0]
    # The shorter run ended with a re-evaluation and a policy of its own.
    assert metrics[1:] == expected[1][1:]
    assert {k: v for k, v in policies.items() if k != (1, None)} == expected[2]


PURSUIT = {
    "env_name": "posggym:PursuitEvasion-v1",
    "env_config": {"max_obs_distance": 6},
    "lstm_size": 3,
    "roles": ["0", "1"],
    "popsize": 8,
    "popsize_max": None,
    "num_interactions": None,
    "max_episode_length": 20,
}


@pytest.fixture(scope="module")
def pursuit(tmp_path_factory) -> Path:
    """An uninterrupted run of two roles with one worker."""
    run_dir = tmp_path_factory.mktemp("pursuit")
    train(run_dir, **PURSUIT)
    return run_dir


def test_each_role_has_policies_and_metrics_of_its_own(pursuit):
    state, metrics, _ = results(pursuit)
    rows = [(row["generation"], row["role"]) for row in metrics]
    assert rows == [(str(g), role) for g in (1, 2, 3) for role in "01"]
    assert state["0:center"] != state["1:center"]
    # Evasion and pursuit are worth opposite rewards in the same episodes.
    evader, pursuer = (float(row["re_eval_mean"]) for row in metrics[-2:])
    assert evader == pytest.approx(-pursuer)
    names = [path.name for path in (pursuit / "policies").iterdir()]
    assert sum("_agent0_" in name for name in names) == len(names) / 2
    for path in (pursuit / "policies").iterdir():
        policy = load_policy(path)
        assert f"_agent{policy.metadata.role}_" in path.name
        assert policy.num_lstm == 1


def test_roles_end_with_the_same_numbers_in_parts_and_with_more_workers(
    pursuit, tmp_path
):
    train(tmp_path, **PURSUIT, niters=2)
    train(tmp_path, **PURSUIT, niters=3, num_cpus=2)
    assert results(tmp_path)[0] == results(pursuit)[0]


def test_a_best_response_learns_against_registered_policies(tmp_path):
    training = train(
        tmp_path,
        env_name="posggym:CooperativeReaching-v0",
        partners=["CooperativeReaching-v0/H1-v0", "CooperativeReaching-v0/H2-v0"],
        popsize=4,
        popsize_max=None,
        num_interactions=None,
        max_episode_length=10,
        niters=1,
    )
    assert training.generation == 1


def test_a_best_response_has_one_role():
    with pytest.raises(ValueError, match="partners needs one role at most"):
        TrainingConfig(roles=("0", "1"), partners=("Driving-v1/A40Shortestpath-v0",))


def test_another_configuration_is_refused_in_the_same_folder(reference):
    config = TrainingConfig.from_dict({**LANDER, "popsize": 14})
    with pytest.raises(RunMismatchError, match="popsize: 12 -> 14"):
        Training(config, reference)


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    config = TrainingConfig.from_dict(LANDER)
    message = "another process is training here"
    with Training(config, tmp_path), pytest.raises(RunLockedError, match=message):
        Training(config, tmp_path)
    # Free again.
    with Training(config, tmp_path):
        pass


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_goes_on_and_ends_the_same(root, reference, tmp_path, kill):
    process = start_training(root, tmp_path)
    wait_for((tmp_path / "state.npz").exists)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(kill)
    process.wait()
    # Workers notice that their master is gone and end.
    _, alive = psutil.wait_procs(workers, timeout=300)
    assert not alive
    train(tmp_path)
    assert results(tmp_path) == results(reference)


def test_a_killed_worker_is_replaced(root, reference, tmp_path):
    process = start_training(root, tmp_path)
    wait_for((tmp_path / "state.npz").exists)
    for child in psutil.Process(process.pid).children(recursive=True):
        if "spawn_main" in " ".join(child.cmdline()):
            os.kill(child.pid, signal.SIGKILL)
            break
    assert process.wait(timeout=600) == 0
    assert results(tmp_path) == results(reference)


MISBEHAVING = {
    "env_name": "misbehaving_env:Misbehaving-v0",
    "num_interactions": None,
    "popsize_max": None,
    "num_cpus": 2,
}


@pytest.mark.parametrize("mode", ["hang", "die"])
def test_workers_that_hang_or_die_are_replaced(tmp_path, mode, caplog):
    settings = {**MISBEHAVING, "worker_timeout": 8.0}
    marker = tmp_path / "marker"
    for name, folder in (("first", "one"), ("later", "two")):
        # The same configuration twice: the marker exists in the second run.
        config = {"mode": mode, "marker": str(marker)}
        train(tmp_path / folder, **settings, env_config=config)
        assert ("replacing the workers" in caplog.text) == (name == "first")
        caplog.clear()
    assert results(tmp_path / "one") == results(tmp_path / "two")


def test_fitnesses_that_are_not_numbers_count_as_the_worst(tmp_path, caplog):
    training = train(tmp_path, **MISBEHAVING, env_config={"mode": "nan"}, popsize=30)
    metrics = results(tmp_path)[1]
    failed = [int(row["pop_failed"]) for row in metrics]
    assert all(0 < count < 30 for count in failed)
    assert caplog.text.count("it counts as the worst") == sum(failed)
    assert "seed 3" in caplog.text
    assert np.isfinite(training.learners[0].pgpe.center).all()
    assert all(np.isfinite(float(row["pop_mean"])) for row in metrics)


@pytest.mark.parametrize("mode", ["nan_observation", "huge_observation"])
def test_failed_episodes_leave_no_trace_in_the_observation_statistics(tmp_path, mode):
    settings = {**MISBEHAVING, "obs_norm": True, "popsize": 30, "niters": 3}
    training = train(tmp_path, **settings, env_config={"mode": mode})
    metrics = results(tmp_path)[1]
    failed = sum(int(row["pop_failed"]) for row in metrics)
    assert 0 < failed < 90
    stats = training.learners[0].obs_stats
    # Those of the others are all there.
    assert stats.count == 10 * (90 - failed)
    assert (np.abs(stats.mean) < 1).all()
    with np.load(tmp_path / "state.npz") as archive:
        assert all(np.isfinite(array).all() for array in archive.values())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_states_that_are_not_finite_are_never_written(tmp_path, value):
    train(tmp_path, niters=1)
    before = (tmp_path / "state.npz").read_bytes()
    config = TrainingConfig.from_dict(LANDER)
    with Training(config, tmp_path) as training:
        training.learners[0].pgpe.stdev[0] = value
        with pytest.raises(ValueError, match="is NaN or infinite after generation 2"):
            training.step()
    assert (tmp_path / "state.npz").read_bytes() == before
    train(tmp_path, niters=2)


def test_metrics_cut_off_by_a_crash_are_mended(reference, tmp_path):
    train(tmp_path, niters=2)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("3,1.5,2.")
    train(tmp_path, niters=3)
    assert results(tmp_path)[1] == results(reference)[1]


def without_lines(path: Path, first: int, last: int) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:first] + lines[last:]), encoding="utf-8")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def edit_json(path: Path, **changes) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")


def put_array(path: Path, name: str, value) -> None:
    with np.load(path) as archive:
        np.savez(path, **{**archive, name: value})


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("metrics.csv", Path.unlink, "generation 1 is missing or damaged"),
        ("metrics.csv", lambda path: os.truncate(path, 0), "the header is damaged"),
        ("metrics.csv", cut, "generation . is missing or damaged"),
        (
            "metrics.csv",
            lambda path: without_lines(path, 2, 3),
            "generation 2 is missing or damaged",
        ),
        (
            "metrics.csv",
            lambda path: path.write_bytes(path.read_bytes().replace(b"2,", b"x,", 1)),
            "damaged",
        ),
        ("metrics.csv", lambda path: path.write_bytes(b"\xff\xfe"), "damaged"),
        ("state.npz", Path.unlink, "is from generation 0, but metrics.csv has"),
        ("state.npz", cut, "damaged"),
        ("state.npz", lambda path: os.truncate(path, 0), "damaged"),
        ("state.npz", lambda path: path.write_text("no state"), "damaged"),
        ("state.npz", lambda path: np.savez(path, a=1), "its arrays are not those"),
        (
            "state.npz",
            lambda path: put_array(path, "center", np.zeros(3)),
            "its arrays are not those",
        ),
        (
            "state.npz",
            lambda path: put_array(path, "timesteps", np.nan),
            "timesteps does not consist of finite numbers",
        ),
        ("run.json", Path.unlink, "missing, although there is state.npz"),
        ("run.json", cut, "damaged"),
        ("run.json", lambda path: path.write_text("[]"), "damaged"),
        ("run.json", lambda path: edit_json(path, pid="../7"), "damaged"),
        ("run.json", lambda path: edit_json(path, date="../x"), "damaged"),
        ("run.json", lambda path: edit_json(path, config={}), "damaged"),
    ],
)
def test_a_damaged_run_is_not_resumed(reference, tmp_path, name, damage, message):
    run_dir = tmp_path / "run"
    shutil.copytree(reference, run_dir)
    damage(run_dir / name)
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    for _ in range(2):
        with pytest.raises(DamagedRunError, match=message) as refused:
            train(run_dir, niters=4)
        assert str(refused.value).startswith(f"{run_dir / name}: ")
        assert "\n" not in str(refused.value)
    after = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    assert after == before


def test_a_flipped_bit_in_the_state_is_noticed_or_harmless(reference, tmp_path):
    with np.load(reference / "state.npz") as archive:
        state = dict(archive)
    content = (reference / "state.npz").read_bytes()
    for place in range(0, len(content), 5):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "state.npz").write_bytes(damaged)
        with contextlib.suppress(DamagedRunError):
            read = read_state(tmp_path, state)
            assert all((read[name] == array).all() for name, array in state.items())


def test_posggym_self_play_is_a_function_of_the_seed(tmp_path):
    changes = {
        "env_name": "posggym:CooperativeReaching-v0",
        "popsize_max": None,
        "num_interactions": None,
    }
    for folder, num_cpus in (("one", 1), ("two", 2)):
        train(tmp_path / folder, **changes, num_cpus=num_cpus)
    assert results(tmp_path / "one") == results(tmp_path / "two")


def random_return(env_id: str, episodes: int) -> float:
    """Mean return of uniformly random agents."""
    env = posggym.make(env_id)
    total = 0.0
    for seed in range(episodes):
        env.reset(seed=seed)
        for space in env.action_spaces.values():
            space.seed(seed)
        done = False
        while not done:
            actions = {i: env.action_spaces[i].sample() for i in env.agents}
            _, rewards, _, _, done, _ = env.step(actions)
            total += sum(rewards.values()) / len(rewards)
    return total / episodes


def test_training_improves_a_posggym_agent(tmp_path):
    train(
        tmp_path,
        env_name="posggym:CooperativeReaching-v0",
        popsize_max=None,
        num_interactions=None,
        popsize=60,
        max_speed=0.5,
        center_lr=0.25,
        radius=7.5,
        niters=25,
        re_eval_num_episodes=100,
        re_eval_interval=25,
        num_cpus=2,
    )
    trained = float(results(tmp_path)[1][-1]["re_eval_mean"])
    assert trained > random_return("CooperativeReaching-v0", 100) + 0.1


def test_calibration_changes_nothing(reference, tmp_path):
    with Training(TrainingConfig.from_dict(LANDER), tmp_path) as training:
        estimate = training.calibrate(seconds=0.1)
        training.run()
    assert results(tmp_path) == results(reference)
    # Two thousand steps at the least, three generations of them.
    assert estimate.steps_per_generation >= 2000
    assert estimate.seconds == pytest.approx(
        3 * estimate.steps_per_generation / estimate.steps_per_second
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"popsize": 5}, "popsize must be even, not 5"),
        ({"niters": 0}, "niters must be at least 1, not 0"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"lstm_size": -1}, "lstm_size must be at least 0, not -1"),
        ({"hidden": [8, 0]}, r"hidden\.1 must be at least 1, not 0"),
        ({"hidden": 8}, "hidden must be a list, not 8"),
        ({"stdev_lr": -0.1}, "stdev_lr must be at least 0, not -0.1"),
        ({"stdev_max_change": 0.0}, "stdev_max_change must be greater than 0, not 0.0"),
        ({"popsize_max": 0}, "popsize_max must be at least 1, not 0"),
        ({"num_cpus": 0}, "num_cpus must be at least 1, or -1, not 0"),
        ({"max_episode_length": 0}, "max_episode_length must be at least 1, or -1"),
        ({"radius": float("nan")}, "radius must be a finite number, not nan"),
        ({"niters": 1.5}, "niters must be an integer, not 1.5"),
        (
            {"num_interactions": "all"},
            "must be an integer or null, not 'all'",
        ),
        ({"obs_norm": 1}, "obs_norm must be true or false, not 1"),
        ({"roles": "0"}, "roles must be a list, not '0'"),
        ({"head": [8]}, "head needs an LSTM"),
        ({"max_speed_decay": 1.01}, "max_speed_decay must be at most 1, not 1.01"),
        ({"stdev_decay": 0.0}, "stdev_decay must be greater than 0, not 0.0"),
        ({"patience": 0}, "patience must be at least 1, not 0"),
        ({"restarts": -1}, "restarts must be at least 0, not -1"),
        ({"restarts": 1}, "restarts needs patience"),
        ({"restarts": 1, "patience": 2}, "restarts needs keep_best"),
        ({"target_return": "high"}, "target_return must be a finite number or null"),
        ({"keep_best": True, "re_eval_interval": 0}, "keep_best needs re-evaluations"),
        ({**PURSUIT, "patience": 1}, "patience does not work with several roles"),
        ({**PURSUIT, "init_policy": "a.pickle"}, "init_policy needs one role at most"),
        ({"init_policy": "a.pickle", "init_gain": 1}, "init_policy and init_gain are"),
        ({"init_policy": "a.pickle"}, "a.pickle"),
        ({"roles": ["0", "0"]}, "roles names an agent twice: 0, 0"),
        ({"engine": "mpi"}, "engine must be 'local', 'ray' or 'slurm', not 'mpi'"),
        ({"populationsize": 4}, "unknown key 'populationsize'"),
        ({"activation": "gelu"}, "activation must be 'tanh' or 'relu', not 'gelu'"),
        ({"env_name": "LunarLanderContinous-v2"}, "LunarLanderContinuous-v2"),
        ({"env_name": "posggym:DrivingContinous-v0"}, "DrivingContinuous-v0"),
        (
            {"env_name": "posggym:Driving-v1", "env_config": {"gird": "7x7"}},
            "no argument .gird.; did you mean .grid.",
        ),
        ({"env_name": "posggym:PursuitEvasion-v1"}, "is not symmetric"),
    ],
)
def test_wrong_settings_are_named(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        Training(TrainingConfig.from_dict({**LANDER, **changes}), tmp_path)


def test_a_slurm_job_that_cannot_ask_slurm_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="cannot get the nodes of job 7 from squeue"):
        allocated_nodes()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (600, "10 min"), (4 * 3600, "4.0 h"), (5 * 86400, "5.0 days")],
)
def test_durations_are_readable(seconds, text):
    assert format_duration(seconds) == text


def test_time_left_follows_from_recent_generations_alone():
    # Start-up is before the first time, and a slow beginning is forgotten.
    assert seconds_left([100.0, 102.0], 5) == pytest.approx(10.0)
    slow = [0.0, 500.0, 1000.0]
    recent = [1000.0 + 3.0 * n for n in range(1, 11)]
    assert seconds_left([*slow, *recent], 7) == pytest.approx(21.0)
    assert seconds_left([100.0], 5) is None
