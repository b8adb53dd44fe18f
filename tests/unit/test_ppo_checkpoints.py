"""Checkpoints of the PPO baselines: converted exactly, or refused with the reason."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import numpy as np
import posggym
import pytest
import torch
from gymnasium import spaces
from posggym.agents.torch_policy import PPOPolicy, PPOTorchModelSaveFileFormat
from posggym.agents.utils import processors

from checkpoints import REACHING, save_checkpoint
from messages import exactly
from pgpelib.foreign.safe_pickle import MAX_FILE_SIZE
from pgpelib.policies.networks import Network
from posggym_es.conversion.folders import convert_folder
from posggym_es.conversion.proof import prove
from posggym_es.models.posggym_model_file import model_file_bytes, read_model_file
from posggym_es.policies.convertible import ConversionError
from posggym_es.policies.policy_file import read_policy, write_policy
from posggym_es.policies.reference_agents import StochasticAgent
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.checkpoint_names import CheckpointError, latest_checkpoints
from posggym_es.sources.ppo_checkpoints import (
    WeightlessError,
    load_checkpoint,
    usable_checkpoints,
)
from posggym_es.sources.registry import read_policies
from posggym_es.sources.settings import AgentSettings


def load_in_posggym(path: Path, report: dict, env, agent="0") -> PPOPolicy:
    specs = report["obs_processor"], report["action_processor"]
    obs, action = ((getattr(processors, s["name"]), s["config"]) for s in specs)
    return PPOPolicy.load_from_path(
        env.model, agent, "test", path, False, *obs, *action
    )


@pytest.mark.slow
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_converted_policies_have_the_original_probabilities(tmp_path, layers):
    module = save_checkpoint(tmp_path / "in", layers=layers)
    written = convert_folder(tmp_path / "in", tmp_path / "out")
    ((path, report),) = written.items()
    assert path == tmp_path / "out" / "P0.pkl"
    assert json.loads((tmp_path / "out" / "P0.json").read_text()) == report
    assert report["proof"]["observations"] >= 1000

    env = posggym.make("CooperativeReaching-v0", **REACHING)
    policy = load_in_posggym(path, report, env)
    state, seen, found = policy.get_initial_state(), [], []
    observations, _ = env.reset(seed=1)
    for _ in range(30):
        seen.append(policy.obs_processor(observations["0"]))
        state = policy.get_next_state(None, observations["0"], state)
        found.append(state["action_probs"])
        observations, *_ = env.step({i: env.action_spaces[i].sample() for i in "01"})
    with torch.no_grad():
        logits = module(torch.tensor(np.array(seen), dtype=torch.float32))
    assert np.array(found) == pytest.approx(logits.softmax(-1).numpy(), abs=1e-5)


@pytest.mark.slow
def test_continuous_policies_keep_means_and_stdevs(tmp_path):
    driving_checkpoint(tmp_path / "in")
    ((_, report),) = convert_folder(tmp_path / "in", tmp_path / "out").items()
    assert report["obs_processor"]["name"] == "RescaleProcessor"
    assert report["action_processor"]["name"] == "RescaleProcessor"
    assert report["proof"]["max_difference"] < 1e-5


def driving_checkpoint(folder, **changes) -> posggym.Env:
    env = posggym.make("DrivingContinuous-v0")
    inputs = env.observation_spaces["0"].shape[0]
    settings = {"env_id": "DrivingContinuous-v0", "env_kwargs": {}}
    save_checkpoint(folder, inputs=inputs, outputs=4, **settings, **changes)
    return env


@pytest.mark.slow
@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("layers", [0, 1])
def test_the_most_likely_action_is_taken_on_request(tmp_path, continuous, layers):
    if continuous:
        env = driving_checkpoint(tmp_path, layers=layers)
    else:
        env = posggym.make("CooperativeReaching-v0", **REACHING)
        save_checkpoint(tmp_path, layers=layers)
    agent = AgentSettings(deterministic=True)
    ((path, report),) = convert_folder(tmp_path, tmp_path, agent=agent).items()
    # Of `ActionProof`: POSGGym and the float64 reference have taken the same actions.
    proof = report["proof"]
    if continuous:
        assert proof["max_difference"] <= 1e-5
    else:
        assert proof["different_actions"] == 0
    converted = load_in_posggym(path, report, env)
    sampling = load_checkpoint(tmp_path / "checkpoint_1_P0.pt")
    original = StochasticAgent(sampling, env.model, "0")
    converted.reset(seed=1)
    original.reset(seed=1)
    observations, _ = env.reset(seed=1)
    for _ in range(30):
        decision = original.decide(observations["0"])
        if continuous:
            processor = original.action_processor
            expected = processor.unprocess(decision[0].clip(-1, 1))
        else:
            expected = decision.argmax()
        assert converted.step(observations["0"]) == pytest.approx(expected, abs=1e-5)
        observations, *_, done, _ = env.step(
            {i: env.action_spaces[i].sample() for i in env.agents}
        )
        if done:
            break


def test_checkpoints_say_the_rest_themselves(tmp_path):
    save_checkpoint(tmp_path)
    policy = load_checkpoint(tmp_path / "checkpoint_1_P0.pt")
    write_policy(dataclasses.replace(policy, deterministic=True), tmp_path / "x")
    assert read_policy(tmp_path / "x").deterministic
    written = tmp_path / "x" / "policy.json"
    fields = json.loads(written.read_text())
    written.write_text(json.dumps({**fields, "deterministic": "yes"}))
    with pytest.raises(ValueError, match="deterministic is neither true nor false"):
        read_policy(tmp_path / "x")
    (tmp_path / "agent.yaml").write_text("env_name: CartPole-v1\n")
    with pytest.raises(ExtractionError, match="itself; leave out env_name"):
        read_policies(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("continuous", [False, True])
def test_originals_act_by_the_same_chance_as_converted_policies(tmp_path, continuous):
    if continuous:
        env = driving_checkpoint(tmp_path / "in")
    else:
        env = posggym.make("CooperativeReaching-v0", **REACHING)
        save_checkpoint(tmp_path / "in")
    ((path, report),) = convert_folder(tmp_path / "in", tmp_path).items()
    converted = load_in_posggym(path, report, env, "1")
    policy = load_checkpoint(tmp_path / "in" / "checkpoint_1_P0.pt")
    original = StochasticAgent(policy, env.model, "1")
    for seed in (3, 4):
        original.reset(seed=seed)
        converted.reset(seed=seed)
        observations, _ = env.reset(seed=seed)
        for _ in range(20):
            action = original.step(observations["1"])
            same = converted.step(observations["1"])
            assert np.asarray(action) == pytest.approx(np.asarray(same), abs=1e-4)
            observations, *_, done, _ = env.step(
                {**{i: env.action_spaces[i].sample() for i in env.agents}, "1": action}
            )
            if done:
                break


@pytest.mark.slow
def test_ppo_proofs_compare_whole_episodes(tmp_path):
    env = posggym.make("CooperativeReaching-v0", **REACHING)
    save_checkpoint(tmp_path / "a", seed=0)
    save_checkpoint(tmp_path / "b", seed=1)
    policy = load_checkpoint(tmp_path / "a" / "checkpoint_1_P0.pt")
    same, other = (
        [
            load_in_posggym(path, report, env, agent)
            for agent in "01"
            for path, report in convert_folder(folder, folder).items()
        ]
        for folder in (tmp_path / "a", tmp_path / "b")
    )
    length = env.spec.max_episode_steps
    for minimum, count in ((1, 1), (length, 1), (length + 1, 2), (2 * length + 1, 3)):
        proof = prove(policy, same[0], env, minimum)
        assert proof.observations == count * length
        assert proof.holds
    proof = prove(policy, other[1], env)
    assert 1000 <= proof.observations < 1000 + length
    assert 0.01 < proof.max_difference <= 1
    assert not proof.holds
    # Seeds make the episodes.
    assert prove(policy, other[1], env) == proof
    assert prove(policy, other[0], env) != proof


def test_ppo_policies_that_float32_cannot_hold_are_not_written(tmp_path):
    def amplify_a_rounding_error(module):
        hidden, _, last = module.actor
        hidden.weight[1] = hidden.weight[0]
        hidden.bias[0] = 0.5
        hidden.bias[1] = 0.5 + 2**-24
        last.weight[:] = 0
        last.weight[0, :2] = 1e4 * torch.tensor([1, -1])

    save_checkpoint(tmp_path / "in", change=amplify_a_rounding_error)
    message = (
        "the converted policy acts with other probabilities than the original one: "
        r"they differ by \d\.\de-\d\d; float32 cannot hold this policy$"
    )
    with pytest.raises(ConversionError, match=message):
        convert_folder(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_latest_update_is_that_of_the_highest_number(tmp_path):
    for update, policy_id in ((999, "a_b"), (1000, "a_b"), (7, "c")):
        save_checkpoint(tmp_path, update, policy_id, seed=update)
    latest = latest_checkpoints(tmp_path)
    assert {k: v.name for k, v in latest.items()} == {
        "a_b": "checkpoint_1000_a_b.pt",
        "c": "checkpoint_7_c.pt",
    }
    written = convert_folder(tmp_path, tmp_path / "out")
    assert [path.name for path in written] == ["a_b.pkl", "c.pkl"]


def test_other_names_are_their_policy_ids(tmp_path):
    save_checkpoint(tmp_path, 3, "BR")
    for name in ("P0_seed0.pt", "P1_seed0.pt"):
        shutil.copy(tmp_path / "checkpoint_3_BR.pt", tmp_path / name)
    latest = latest_checkpoints(tmp_path)
    assert {k: v.name for k, v in latest.items()} == {
        "BR": "checkpoint_3_BR.pt",
        "P0_seed0": "P0_seed0.pt",
        "P1_seed0": "P1_seed0.pt",
    }
    policy = load_checkpoint(tmp_path / "P0_seed0.pt")
    assert policy.metadata.policy_id == "P0_seed0"
    assert policy.metadata.update == 3
    shutil.copy(tmp_path / "P0_seed0.pt", tmp_path / "BR.pt")
    message = f"{tmp_path}: BR.pt and checkpoint_3_BR.pt are both of the policy BR"
    with pytest.raises(CheckpointError, match=exactly(message)):
        latest_checkpoints(tmp_path)


def test_one_file_is_converted_alone(tmp_path):
    save_checkpoint(tmp_path, 3, "BR")
    save_checkpoint(tmp_path, 4, "other", seed=1)
    single = tmp_path / "P0_seed0.pt"
    shutil.copy(tmp_path / "checkpoint_3_BR.pt", single)
    written = convert_folder(single, tmp_path / "out")
    assert list(written) == [tmp_path / "out" / "P0_seed0.pkl"]


def weightless(folder: Path, update: int = 1) -> Path:
    """Write what level-k runs save of their random policy."""
    save_checkpoint(folder, update, "random")
    path = folder / f"checkpoint_{update}_random.pt"
    data = torch.load(path, weights_only=False)
    torch.save({**data, "model": {}, "optimizer": None}, path)
    return path


def test_policies_without_weights_are_skipped_with_a_line(tmp_path, caplog):
    path = weightless(tmp_path)
    message = f"{path}: the policy has no weights"
    with pytest.raises(WeightlessError, match=exactly(message)):
        load_checkpoint(path)
    message = f"{tmp_path}: no policy there has weights"
    with pytest.raises(CheckpointError, match=exactly(message)):
        usable_checkpoints(tmp_path)
    caplog.clear()
    save_checkpoint(tmp_path, 1, "KLR0")
    # Another folder, because each weightless file is named once.
    again = tmp_path / "again"
    shutil.copytree(tmp_path, again)
    written = convert_folder(again, tmp_path / "out")
    assert [path.name for path in written] == ["KLR0.pkl"]
    (record,) = caplog.records
    line = f"{again / path.name}: the policy has no weights; skipped"
    assert record.getMessage() == line


def test_objects_in_the_config_do_not_matter(tmp_path):
    """Training configurations hold paths, devices, spaces, generators and sets."""
    things = {
        "log_dir": Path("/tmp/run"),
        "pure": PurePosixPath("a/b"),
        "device": torch.device("cpu"),
        "size": torch.Size([1, 2]),
        "rng": np.random.default_rng(0),
        "old_rng": np.random.RandomState(0),
        "ids": {"0", "1"},
        "space": spaces.Dict(a=spaces.MultiBinary(3), b=spaces.MultiDiscrete([2, 3])),
        "tuple": spaces.Tuple((spaces.Discrete(2, seed=1),)),
        "array": np.arange(3.0),
    }
    module = save_checkpoint(tmp_path, **things)
    policy = load_checkpoint(tmp_path / "checkpoint_1_P0.pt")
    for name, parameter in module.state_dict().items():
        assert np.array_equal(policy.weights[name], parameter.numpy())


def test_old_keys_are_understood(tmp_path):
    old = {"trunk_sizes": ..., "head_sizes": ..., "lstm_num_layers": ...}
    save_checkpoint(tmp_path, trunk_size=[8, 6], head_size=5, use_lstm=..., **old)
    policy = load_checkpoint(tmp_path / "checkpoint_1_P0.pt")
    assert (policy.trunk_sizes, policy.head_sizes) == ([8, 6], [5])
    assert (policy.lstm_size, policy.lstm_layers) == (7, 1)
    assert policy.metadata.timesteps == 1234


def test_extracted_policies_come_back(tmp_path):
    save_checkpoint(tmp_path, layers=2)
    policy = load_checkpoint(tmp_path / "checkpoint_1_P0.pt")
    write_policy(policy, tmp_path / "extracted")
    again = read_policy(tmp_path / "extracted")
    assert again.metadata == policy.metadata
    assert again.env_config == policy.env_config
    for name, array in policy.weights.items():
        assert np.array_equal(again.weights[name], array)
    network, same = (Network(p.actor_layers, p.activation) for p in (policy, again))
    x = np.ones(policy.observation_size)
    assert np.array_equal(network(x), same(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lstm_use_prev_action": True}, "lstm_use_prev_action: the LSTM reads"),
        ({"trunk_sizes": [8, 5]}, "trunk.2.weight has shape"),
        ({"head_sizes": [5, 5]}, r"the weights have no actor\.4\.bias"),
        ({"use_lstm": False}, "unexpected lstm"),
        ({"activation": "gelu"}, "unknown activation 'gelu'"),
        ({"env_id": ...}, "the config names no environment: env_id is None"),
        ({"env_id": "CooperativeReaching-v9"}, "unknown POSGGym environment"),
        ({"env_kwargs": {"size": 9}}, "is it for other arguments"),
        ({"env_kwargs": {"size": {1, 2}}}, "env_kwargs.size: a set is neither text"),
    ],
)
def test_what_cannot_be_expressed_is_refused_and_nothing_written(
    tmp_path, changes, message
):
    save_checkpoint(tmp_path / "in", policy_id="a")
    save_checkpoint(tmp_path / "in", policy_id="z", **changes)
    with pytest.raises((CheckpointError, ConversionError), match=message):
        convert_folder(tmp_path / "in", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_numbers_are_refused(tmp_path):
    save_checkpoint(tmp_path)
    path = tmp_path / "checkpoint_1_P0.pt"
    data = torch.load(path, weights_only=False)
    data["model"]["actor.0.bias"][0] = torch.nan
    torch.save(data, path)
    with pytest.raises(CheckpointError, match=r"P0.pt: actor.0.bias has NaN"):
        load_checkpoint(path)


class Evil:
    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    evil = tmp_path / "checkpoint_1_P0.pt"
    save_checkpoint(tmp_path, exploit=Evil(tmp_path / "executed"))
    with pytest.raises(CheckpointError, match=r"it names (posix|os)\.system"):
        load_checkpoint(evil)
    evil.write_bytes(pickle.dumps(Evil(tmp_path / "executed")))
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_checkpoint(evil)
    assert not (tmp_path / "executed").exists()


@pytest.mark.slow
def test_the_script_says_what_is_wrong_in_one_line(root, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "checkpoint_1_P0.pt").write_bytes(b"not a checkpoint")
    script = root / "workflow" / "scripts" / "save_to_posggym_format.py"
    result = subprocess.run(
        [
            *(sys.executable, script),
            *("--checkpoint_dir", tmp_path / "in"),
            *("--output_dir", tmp_path / "out"),
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "checkpoint_1_P0.pt: not a checkpoint" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_real_checkpoints_are_converted(shared_data, tmp_path):
    """Folders of training runs and published files, paths in their config or not."""
    files = sorted((shared_data / "ppo-checkpoints").rglob("*.pt"))
    assert files
    for number, file in enumerate(files):
        written = convert_folder(file, tmp_path / str(number))
        ((path, report),) = written.items()
        assert path.stem == load_checkpoint(file).metadata.policy_id
        assert path.stem in file.stem
        assert report["proof"]["max_difference"] < 1e-5


def test_real_policy_files_are_read_back_and_saved_equal(shared_data, tmp_path):
    files = sorted(shared_data.rglob("*.pkl"))
    assert files
    for file in files:
        fields = read_model_file(file)
        again = tmp_path / "again.pkl"
        again.write_bytes(model_file_bytes(PPOTorchModelSaveFileFormat(**fields)))
        same = read_model_file(again)
        assert fields.keys() == same.keys()
        for name, value in fields.items():
            if name != "weights":
                assert same[name] == value
        assert list(fields["weights"]) == list(same["weights"])
        for name, tensor in fields["weights"].items():
            assert torch.equal(same["weights"][name], tensor)


@pytest.mark.parametrize("fields", [[1, 2], {"weights": {}}])
def test_pickles_of_something_else_are_refused(tmp_path, fields):
    path = tmp_path / "policy.pkl"
    path.write_bytes(pickle.dumps(fields))
    message = f"{path}: not a policy file: it has other fields"
    with pytest.raises(ValueError, match=exactly(message)):
        read_model_file(path)


def test_files_larger_than_any_policy_are_refused_unread(tmp_path):
    path = tmp_path / "policy.pkl"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_SIZE + 1)
    message = f"{path}: not a policy file: larger than 256 MiB"
    with pytest.raises(ValueError, match=exactly(message)):
        read_model_file(path)
