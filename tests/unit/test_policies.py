"""Forward passes, normalisation and saved policies."""

from __future__ import annotations

import dataclasses
import os
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from made_policies import random_policy
from messages import exactly
from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.networks import LSTM, fold_normalization
from pgpelib.policies.policy import ActionSpec, Architecture
from pgpelib.policies.running_statistics import VARIANCE_FLOOR, RunningStat
from pgpelib.policies.saving import save_policy
from pgpelib.restore import (
    ActionClipping,
    ObservationNormalization,
    PolicyFileError,
    load_policy,
    policy_metadata,
    to_torch_module,
)
from posggym_es.policies.deterministic import DeterministicPolicy
from posggym_es.policies.policy_file import read_policy, write_policy


def test_parameter_order_is_pytorchs():
    architecture = Architecture(3, 2, (4, 5), "relu")
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 4),
        torch.nn.ReLU(),
        torch.nn.Linear(4, 5),
        torch.nn.ReLU(),
        torch.nn.Linear(5, 2),
    )
    vector = torch.nn.utils.parameters_to_vector(module.parameters())
    assert architecture.num_parameters == len(vector)
    layers = architecture.layers(vector.detach().numpy())
    for (weight, bias), linear in zip(layers, module[::2], strict=True):
        assert np.array_equal(weight, linear.weight.detach())
        assert np.array_equal(bias, linear.bias.detach())


def test_a_search_can_start_from_random_features():
    architecture = Architecture(400, 2, (300,), lstm_size=200, head=(100,))
    rng = np.random.default_rng(0)
    assert not architecture.initial_parameters(0.0, rng).any()
    parameters = architecture.initial_parameters(2.0, rng)
    trunk, lstm, head, output = architecture.layers(parameters)
    for weights in (trunk[0], lstm[0], lstm[1], head[0]):
        # The outputs vary as much as the inputs, times the gain.
        assert weights.std() * np.sqrt(weights.shape[1]) == pytest.approx(2, rel=0.05)
    assert not any(array.any() for array in (*output, trunk[1], head[1]))
    assert np.flatnonzero(lstm[2]).tolist() == list(range(200, 400))


@given(
    st.integers(0, 1000),
    st.lists(st.integers(1, 6), max_size=3),
    st.sampled_from(["tanh", "relu"]),
    st.booleans(),
    st.booleans(),
)
def test_numpy_and_torch_agree(seed, hidden, activation, obs_norm, discrete):
    policy = random_policy(seed, hidden, activation, obs_norm, discrete)
    observations = np.random.default_rng(seed).normal(size=(20, 4))
    module = to_torch_module(policy)
    batch = module(torch.tensor(observations, dtype=torch.float32)).numpy(force=True)
    for observation, expected in zip(observations, batch, strict=True):
        outputs = policy.network()(observation)
        if not discrete:
            outputs = policy.action.decode(outputs)
        assert outputs == pytest.approx(expected, rel=1e-3, abs=1e-3)


@given(
    st.integers(0, 1000),
    st.lists(st.integers(1, 6), max_size=2),
    st.integers(1, 6),
    st.lists(st.integers(1, 6), max_size=2),
    st.sampled_from(["tanh", "relu"]),
    st.booleans(),
)
def test_recurrent_policies_agree_with_torch_over_an_episode(
    seed, hidden, lstm_size, head, activation, obs_norm
):
    policy = random_policy(
        seed, hidden, activation, obs_norm, lstm_size=lstm_size, head=head
    )
    observations = np.random.default_rng(seed).normal(size=(20, 4))
    module = to_torch_module(policy)
    episode = module(torch.tensor(observations, dtype=torch.float32)).numpy(force=True)
    network = policy.network()
    # Each start is a new episode, also while another one is going on.
    for act in (network.start(), network.start()):
        outputs = [policy.action.decode(act(row)) for row in observations]
        assert np.array(outputs) == pytest.approx(episode, rel=1e-3, abs=1e-3)


def test_parameter_order_of_recurrent_policies_is_pytorchs():
    architecture = Architecture(3, 2, (4,), "tanh", lstm_size=5, head=(6,))
    modules = [
        torch.nn.Linear(3, 4),
        torch.nn.LSTM(4, 5, bias=True),
        torch.nn.Linear(5, 6),
        torch.nn.Linear(6, 2),
    ]
    parameters = [
        parameter
        for module in modules
        for name, parameter in module.named_parameters()
        if not name.startswith("bias_hh")
    ]
    vector = torch.nn.utils.parameters_to_vector(parameters)
    assert architecture.num_parameters == len(vector)
    arrays = [
        array
        for layer in architecture.layers(vector.detach().numpy())
        for array in layer
    ]
    for array, parameter in zip(arrays, parameters, strict=True):
        assert np.array_equal(array, parameter.detach())


def test_a_head_needs_an_lstm():
    with pytest.raises(ValueError, match="lstm_size"):
        Architecture(3, 2, head=(4,))


def test_folding_normalization_changes_nothing():
    policy = random_policy(hidden=())
    x = np.array([0.3, -2.0, 5.0, 0.0])
    (weight, bias), *_ = policy.layers
    expected = weight @ ((x - policy.obs_mean) / policy.obs_stdev) + bias
    ((w, b),) = fold_normalization(policy.layers, policy.obs_mean, policy.obs_stdev)
    assert w @ x + b == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("recurrent", [{}, {"lstm_size": 3, "head": (2,)}])
def test_saved_policies_come_back(tmp_path, discrete, recurrent):
    policy = random_policy(discrete=discrete, hidden=(5, 6), **recurrent)
    path = tmp_path / "policy.pickle"
    save_policy(policy, path)
    again = load_policy(path)
    write_policy(policy, tmp_path)
    for other in (again, read_policy(tmp_path)):
        for layer, same in zip(policy.layers, other.layers, strict=True):
            for array, array2 in zip(layer, same, strict=True):
                assert np.array_equal(array, array2)
    assert np.array_equal(policy.obs_mean, again.obs_mean)
    assert np.array_equal(policy.obs_stdev, again.obs_stdev)
    assert again.action.kind == policy.action.kind
    assert again.metadata == policy.metadata
    metadata = policy_metadata(path)
    assert metadata["env_name"] == "Walker2d-v4"
    assert metadata["env_config"] == {"reset_noise_scale": 0.0}
    assert metadata["hidden"] == [5, 6]
    assert metadata["lstm_size"] == recurrent.get("lstm_size", 0)
    assert metadata["head"] == list(recurrent.get("head", ()))
    assert metadata["generation"] == 7


def test_policies_of_the_original_trainer_load(shared_data):
    lander, humanoid = sorted(
        (shared_data / "pgpelib-agents").glob("*.pickle"), reverse=True
    )
    module = to_torch_module(humanoid)
    assert module(torch.zeros(5, 44)).shape == (5, 17)
    assert policy_metadata(humanoid)["env_name"].startswith("tinytraj_humanoid_bullet:")
    assert policy_metadata(humanoid)["hidden"] == [64]
    assert to_torch_module(lander)(torch.zeros(8)).shape == (2,)
    assert policy_metadata(lander)["env_name"] == "LunarLanderContinuous-v2"
    assert not policy_metadata(lander)["obs_norm"]


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("obs_norm", [False, True])
def test_layers_around_the_network_can_be_left_out(tmp_path, discrete, obs_norm):
    policy = random_policy(discrete=discrete, obs_norm=obs_norm)
    path = tmp_path / "policy.pickle"
    save_policy(policy, path)
    x = torch.tensor(
        np.random.default_rng(1).normal(0, 5, (50, 4)), dtype=torch.float32
    )
    bare = to_torch_module(path, norm_layer=False, clip_layer=False)
    assert not any(
        isinstance(part, ObservationNormalization | ActionClipping) for part in bare
    )
    for norm_layer in (False, True):
        seen = x
        if norm_layer and obs_norm:
            seen = (x - torch.tensor(policy.obs_mean)) / torch.tensor(policy.obs_stdev)
        outputs = bare(seen.float()).detach()
        for clip_layer in (False, True):
            expected = outputs.numpy()
            if clip_layer and not discrete:
                expected = policy.action.decode(expected)
            for source in (path, str(path), policy):
                module = to_torch_module(
                    source, norm_layer=norm_layer, clip_layer=clip_layer
                )
                found = module(x).detach().numpy()
                assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
    # Clipping is what makes the difference.
    assert discrete or (expected != outputs.numpy()).any()


def test_metadata_always_has_notes(tmp_path, shared_data):
    policy = random_policy()
    assert policy_metadata(policy)["notes"] is None
    with_notes = dataclasses.replace(
        policy, metadata=PolicyMetadata(extra={"notes": "the good one"})
    )
    save_policy(with_notes, tmp_path / "policy.pickle")
    assert policy_metadata(tmp_path / "policy.pickle")["notes"] == "the good one"
    for path in (shared_data / "pgpelib-agents").glob("*.pickle"):
        assert "notes" in policy_metadata(path)


def test_notes_do_not_hide_what_is_known():
    policy = dataclasses.replace(
        random_policy(),
        metadata=PolicyMetadata(extra={"env_name": "other", "hidden": 1}),
    )
    metadata = policy_metadata(policy)
    assert metadata["env_name"] == "Walker2d-v4"
    assert metadata["hidden"] == [5]


class Exploit:
    """Unpickling this runs a command."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_nothing_in_a_policy_file_is_executed(tmp_path):
    marker, path = tmp_path / "executed", tmp_path / "policy.pickle"
    path.write_bytes(pickle.dumps({"format": "pgpelib-policy", "x": Exploit(marker)}))
    with pytest.raises(PolicyFileError, match=r"policy\.pickle.*system"):
        load_policy(path)
    assert not marker.exists()


@pytest.mark.parametrize("content", [b"hello: 1\n", b"# YAML\n", b"\x00\x01"])
def test_files_that_are_no_pickles_are_called_that(tmp_path, content):
    path = tmp_path / "policy.pickle"
    path.write_bytes(content)
    with pytest.raises(PolicyFileError, match="it is not a pickle, or it is damaged"):
        load_policy(path)


@given(st.data())
def test_damaged_policy_files_are_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "policy.pickle"
    save_policy(random_policy(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(PolicyFileError, match="policy.pickle"):
        load_policy(path)


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2])])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.pickle"
    path.write_bytes(content)
    with pytest.raises(PolicyFileError, match="other.pickle"):
        load_policy(path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(PolicyFileError, match="missing.pickle"):
        to_torch_module(tmp_path / "missing.pickle")


def test_weights_that_are_not_numbers_are_refused():
    policy = random_policy()
    policy.layers[0][0][0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinite"):
        DeterministicPolicy(**{**policy.__dict__})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "discrete", "n": 0}, "0 is not a number of discrete actions"),
        ({"kind": "box", "low": [0.0]}, "the action bounds are not arrays"),
        (
            {"kind": "box", "low": np.zeros(2), "high": np.ones(3)},
            "action bounds of shapes (2,) and (3,) do not fit",
        ),
        (
            {"kind": "box", "low": np.ones(1), "high": np.zeros(1)},
            "an action bound is NaN, or the lower above the upper",
        ),
        ({"kind": "dict"}, "unknown kind of actions 'dict'"),
    ],
)
def test_actions_that_cannot_be_are_refused(fields, message):
    with pytest.raises(ValueError, match=exactly(message)):
        ActionSpec(**fields)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "gelu"}, "unknown activation 'gelu'"),
        ({"env_name": 3}, "env_name must be a string, not 3"),
        ({"layers": []}, "the policy has no layers"),
        (
            {"layers": [(np.zeros((2, 4)), np.zeros(3))]},
            "a bias has shape (3,), not (2,)",
        ),
        (
            {"layers": [LSTM(*map(np.zeros, [(8, 4), (8, 2), 8]))]},
            "the last layer must be linear, and at most one layer can be an LSTM",
        ),
        (
            {"layers": [LSTM(*map(np.zeros, [(8, 4), (8, 8), 8]))]},
            "an LSTM has weights of shape (8, 4) and (8, 8)",
        ),
        (
            {"layers": [(np.zeros((7, 4)), np.zeros(7))]},
            "the network has 7 outputs, but the action space needs 3",
        ),
        (
            {"obs_mean": np.zeros(9)},
            "observation statistics of shape (9,) do not match the network's 4 inputs",
        ),
        ({"obs_mean": None}, "observation statistics need both mean and stdev"),
        (
            {"obs_stdev": np.zeros(4)},
            "a standard deviation of observations is not positive",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=exactly(message)):
        dataclasses.replace(random_policy(), **changes)


def test_running_statistics_match_numpys():
    data = np.random.default_rng(0).normal(3, 2, size=(1000, 4))
    stats = RunningStat.empty(4)
    for part in np.split(data, [10, 400]):
        stats.merge(RunningStat.of(part))
    assert stats.count == 1000
    assert stats.mean == pytest.approx(data.mean(axis=0))
    assert stats.stdev == pytest.approx(data.std(axis=0))


def test_running_statistics_of_constants_have_a_floor():
    stats = RunningStat.of(np.full((10, 2), 5.0))
    assert stats.stdev == pytest.approx(np.full(2, np.sqrt(VARIANCE_FLOOR)))
    assert RunningStat.empty(2).stdev.tolist() == [1.0, 1.0]
    assert RunningStat.empty(2).mean.tolist() == [0.0, 0.0]


def test_running_statistics_keep_counting_where_float32_stops():
    stats = RunningStat(2**26, np.array([2.0**26]), np.array([2.0**26]))
    stats.merge(RunningStat.of(np.ones((1, 1))))
    assert stats.sum[0] == 2**26 + 1
