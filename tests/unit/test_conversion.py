"""The converted policy, run by POSGGym, acts like the trained one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections import OrderedDict

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from posggym.agents.torch_policy import PPOTorchModelSaveFileFormat

from made_policies import architectures, load_in_posggym, make_policy
from messages import exactly
from pgpelib.policies.policy import ActionSpec, Architecture
from posggym_es.conversion.folders import convert_folder
from posggym_es.conversion.report import read_conversion
from posggym_es.models.posggym_model_file import model_file_bytes
from posggym_es.models.processors import ProcessorSpec
from posggym_es.policies.convertible import ConversionError
from posggym_es.policies.deterministic import DeterministicPolicy
from posggym_es.policies.lossless import convert
from posggym_es.policies.policy_file import write_policy
from posggym_es.sources.base import ExtractionError


def tame(architecture, scale):
    """Return a scale of weights at which rounding errors do not grow from step to step.

    LSTMs with large weights are chaotic: float32 and float64 part after some steps.
    """
    return min(scale, 1.0) if architecture.lstm_size else scale


@pytest.mark.slow
@settings(max_examples=60)
@given(architectures, st.integers(0, 2**31), st.floats(0.01, 10.0), st.booleans())
def test_box_actions_agree(tmp_path_factory, architecture, seed, scale, obs_norm):
    scale = tame(architecture, scale)
    rng = np.random.default_rng(seed)
    low = rng.uniform(-5, 0, architecture.output_size).astype(np.float32)
    high = (low + rng.uniform(0.1, 5, architecture.output_size)).astype(np.float32)
    size = architecture.observation_size
    policy = make_policy(
        architecture,
        scale * rng.normal(size=architecture.num_parameters),
        ActionSpec("box", np.float64(low), np.float64(high)),
        obs_mean=rng.normal(size=size) if obs_norm else None,
        obs_stdev=rng.uniform(0.1, 2, size) if obs_norm else None,
    )
    path = tmp_path_factory.mktemp("box") / "policy.pkl"
    loaded = load_in_posggym(policy, spaces.Box(low, high), path)
    network = policy.network()
    for observation in rng.normal(size=(30, size)).astype(np.float32):
        expected = policy.action.decode(network(observation))
        # In hidden units, float32 errors grow with the weights; they are what the
        # tolerance has to allow for, the conversion itself adds nothing visible.
        tolerance = 1e-5 * max(1.0, scale**2)
        difference = np.abs(loaded.step(observation) - expected) / (high - low)
        assert difference.max() <= tolerance


@pytest.mark.slow
@settings(max_examples=40)
@given(architectures, st.integers(0, 2**31), st.floats(0.01, 100.0))
def test_discrete_actions_agree(tmp_path_factory, architecture, seed, scale):
    scale = tame(architecture, scale)
    rng = np.random.default_rng(seed)
    n = architecture.output_size
    policy = make_policy(
        architecture,
        scale * rng.normal(size=architecture.num_parameters),
        ActionSpec("discrete", n=n),
    )
    path = tmp_path_factory.mktemp("discrete") / "policy.pkl"
    loaded = load_in_posggym(policy, spaces.Discrete(n), path)
    network = policy.network()
    for observation in rng.normal(size=(30, architecture.observation_size)):
        outputs = network(np.float32(observation))
        # Always: an LSTM has to see every observation.
        action = loaded.step(np.float32(observation))
        gap = np.diff(np.sort(outputs)[-2:])[0]
        if gap > 1e-4 * np.abs(outputs).max():
            assert action == outputs.argmax()


@pytest.mark.parametrize("factor", [1e-30, 1.0, 1e3, 1e6, 1e12])
def test_outputs_of_any_size_are_clipped_like_the_trained_ones(tmp_path, factor):
    low, high = np.float32([-2.0, 0.5]), np.float32([3.0, 0.75])
    architecture = Architecture(2, 2)
    policy = make_policy(
        architecture,
        factor * np.array([1.0, -2.0, -3.0, 0.5, 0.0, 0.0]),
        ActionSpec("box", np.float64(low), np.float64(high)),
    )
    loaded = load_in_posggym(policy, spaces.Box(low, high), tmp_path / "p.pkl")
    for observation in np.float32([[1, 1], [-1, 2], [0, 0], [0.3, -0.1]]):
        expected = policy.action.decode(policy.network()(observation))
        assert loaded.step(observation) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_a_policy_without_preference_takes_the_first_action(tmp_path):
    architecture = Architecture(3, 4)
    policy = make_policy(
        architecture, np.zeros(architecture.num_parameters), ActionSpec("discrete", n=4)
    )
    loaded = load_in_posggym(policy, spaces.Discrete(4), tmp_path / "p.pkl")
    for seed in range(20):
        loaded.reset(seed=seed)
        assert loaded.step(np.float32([1, 2, 3])) == 0


def test_actions_do_not_depend_on_earlier_observations(tmp_path):
    rng = np.random.default_rng(3)
    architecture = Architecture(3, 2, (8,))
    low, high = -np.ones(2, np.float32), np.ones(2, np.float32)
    policy = make_policy(
        architecture,
        rng.normal(size=architecture.num_parameters),
        ActionSpec("box", np.float64(low), np.float64(high)),
    )
    loaded = load_in_posggym(policy, spaces.Box(low, high), tmp_path / "p.pkl")
    observation = np.float32([0.1, 0.2, 0.3])
    fresh = loaded.step(observation)
    for other in rng.normal(0, 100, size=(50, 3)):
        loaded.step(np.float32(other))
    assert np.array_equal(loaded.step(observation), fresh)


def test_policies_trained_behind_a_processor_keep_it():
    rescale = ("RescaleProcessor", {"min_val": -1.0, "max_val": 1.0, "clip": True})
    architecture = Architecture(2, 2)
    policy = make_policy(
        architecture,
        np.arange(6.0),
        ActionSpec("box", -np.ones(2), np.ones(2)),
        obs_processor=rescale,
        action_processor=rescale,
    )
    converted = convert(policy)
    assert converted.obs_processor == ProcessorSpec(*rescale)
    assert converted.action_processor == ProcessorSpec(*rescale)


def test_another_rescaling_can_be_chosen(tmp_path):
    low, high = np.float32([-2.0, 0.0]), np.float32([2.0, 10.0])
    architecture = Architecture(1, 2)
    policy = make_policy(
        architecture,
        [0.5, 3.0, 0.1, 4.0],
        ActionSpec("box", np.float64(low), np.float64(high)),
    )
    loaded = load_in_posggym(
        policy,
        spaces.Box(low, high),
        tmp_path / "p.pkl",
        action_processor=ProcessorSpec(
            "RescaleProcessor", {"min_val": 0.0, "max_val": 5.0, "clip": True}
        ),
    )
    expected = policy.action.decode(policy.network()(np.float32([1.0])))
    assert loaded.step(np.float32([1.0])) == pytest.approx(expected, abs=1e-5)


IDENTITY = ProcessorSpec("IdentityProcessor")
RESCALE = ProcessorSpec("RescaleProcessor")
UNBOUNDED = "the action bounds are infinite or equal, so actions cannot be rescaled"


@pytest.mark.parametrize(
    ("processor", "low", "high", "message"),
    [
        (
            IDENTITY,
            [-1.0, -1.0],
            [1.0, 1.0],
            "the policy clips its actions, which an IdentityProcessor cannot; "
            "register it with a RescaleProcessor, which needs finite bounds",
        ),
        (
            ProcessorSpec("RescaleProcessor", {"clip": False}),
            [-1.0, -1.0],
            [1.0, 1.0],
            "the policy clips its actions; its RescaleProcessor needs clip: true",
        ),
        (
            ProcessorSpec("FlattenProcessor"),
            [-1.0, -1.0],
            [1.0, 1.0],
            "a policy trained with IdentityProcessor for actions cannot be registered "
            "with FlattenProcessor",
        ),
        (RESCALE, [-1.0, -1.0], [1.0, np.inf], UNBOUNDED),
        (RESCALE, [-1.0, -np.inf], [1.0, 1.0], UNBOUNDED),
        (RESCALE, [-1.0, 1.0], [1.0, 1.0], UNBOUNDED),
    ],
)
def test_processors_that_would_change_actions_are_refused(
    processor, low, high, message
):
    action = ActionSpec("box", np.array(low), np.array(high))
    policy = make_policy(Architecture(1, 2), np.zeros(4), action)
    with pytest.raises(ConversionError, match=exactly(message)):
        convert(policy, processor)


def test_discrete_actions_go_through_no_processor():
    policy = make_policy(Architecture(1, 2), np.zeros(4), ActionSpec("discrete", n=2))
    message = (
        "discrete actions cannot go through a RescaleProcessor; "
        "leave the action processor out"
    )
    with pytest.raises(ConversionError, match=exactly(message)):
        convert(policy, RESCALE)


def test_policies_trained_behind_a_processor_take_no_other():
    rescale = ("RescaleProcessor", {"min_val": -1.0, "max_val": 1.0, "clip": True})
    action = ActionSpec("box", -np.ones(2), np.ones(2))
    policy = make_policy(
        Architecture(1, 2), np.zeros(4), action, action_processor=rescale
    )
    message = (
        "a policy trained with RescaleProcessor for actions cannot be registered with "
        "RescaleProcessor"
    )
    with pytest.raises(ConversionError, match=exactly(message)):
        convert(policy, RESCALE)


def test_a_rescaling_has_posggyms_defaults(tmp_path):
    low, high = np.float32([-2.0, 0.0]), np.float32([2.0, 10.0])
    policy = make_policy(
        Architecture(1, 2),
        [0.5, 3.0, 0.1, 4.0],
        ActionSpec("box", np.float64(low), np.float64(high)),
    )
    loaded = load_in_posggym(
        policy, spaces.Box(low, high), tmp_path / "p.pkl", action_processor=RESCALE
    )
    expected = policy.action.decode(policy.network()(np.float32([1.0])))
    assert loaded.step(np.float32([1.0])) == pytest.approx(expected, abs=1e-5)


def test_weights_beyond_float32_are_refused():
    policy = make_policy(
        Architecture(1, 2, (2,)),
        np.full(10, 1e39),
        ActionSpec("box", -np.ones(2), np.ones(2)),
    )
    with pytest.raises(ConversionError, match="float32"):
        convert(policy)


@pytest.mark.slow
def test_files_are_the_same_bytes_in_every_process(tmp_path):
    script = (
        "import sys, torch, collections\n"
        "from posggym.agents.torch_policy import PPOTorchModelSaveFileFormat as F\n"
        "from posggym_es.models.posggym_model_file import model_file_bytes\n"
        "padding = [torch.zeros(7) for _ in range(int(sys.argv[1]))]\n"
        "w = collections.OrderedDict(a=torch.arange(6.).reshape(2, 3))\n"
        "f = F(w, [], 2, 1, [], 'tanh', False, False)\n"
        "sys.stdout.buffer.write(model_file_bytes(f))\n"
    )
    files = [
        subprocess.run(
            [sys.executable, "-c", script, n], capture_output=True, check=True
        ).stdout
        for n in ("0", "1000")
    ]
    assert files[0] == files[1]


def test_files_hold_exactly_the_fields_of_the_format():
    weights = OrderedDict(a=torch.arange(6.0).reshape(2, 3))
    model = PPOTorchModelSaveFileFormat(weights, [3], 2, 1, [], "relu", False, False)
    data = pickle.loads(model_file_bytes(model))
    assert tuple(data) == PPOTorchModelSaveFileFormat._fields
    assert torch.equal(data["weights"]["a"], weights["a"])


def test_real_posggym_files_survive_a_round_trip(shared_data):
    files = sorted((shared_data / "posggym-agent-models").rglob("*.pkl"))
    assert files
    for file in files:
        original = pickle.loads(file.read_bytes())
        again = pickle.loads(model_file_bytes(PPOTorchModelSaveFileFormat(**original)))
        assert again.keys() == original.keys()
        for name, tensor in original["weights"].items():
            assert torch.equal(again["weights"][name], tensor)
        assert {k: v for k, v in again.items() if k != "weights"} == {
            k: v for k, v in original.items() if k != "weights"
        }


def run_converter(root, *arguments, **variables):
    script = root / "workflow" / "scripts" / "save_to_posggym_format.py"
    return subprocess.run(
        [sys.executable, script, *map(str, arguments)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


def lander_dir(shared_data, tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (file,) = (shared_data / "pgpelib-agents").glob("*LunarLander*")
    (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.slow
def test_converter_alone(root, shared_data, tmp_path):
    source = lander_dir(shared_data, tmp_path)
    output = tmp_path / "new" / "output"
    result = run_converter(root, "--checkpoint_dir", source, "--output_dir", output)
    assert result.returncode == 0, result.stderr
    assert "TypedStorage" not in result.stderr
    proof = json.loads((output / "conversion.json").read_text())["proof"]
    assert proof["observations"] >= 1000
    assert proof["max_difference"] <= 1e-5
    assert pickle.loads((output / "policy.pkl").read_bytes())["lstm_size"] == 2


def test_reports_say_what_was_converted_and_how_well(shared_data, tmp_path):
    source = lander_dir(shared_data, tmp_path)
    output = tmp_path / "a" / "b"
    written = convert_folder(source, output)
    assert list(written) == [output / "policy.pkl"]
    assert sorted(path.name for path in output.iterdir()) == [
        "conversion.json",
        "policy.pkl",
    ]
    report = json.loads((output / "conversion.json").read_text())
    assert report == written[output / "policy.pkl"]
    data = (output / "policy.pkl").read_bytes()
    assert report["sha256"] == hashlib.sha256(data).hexdigest()
    processors = (
        ProcessorSpec("IdentityProcessor"),
        ProcessorSpec(
            "RescaleProcessor", {"min_val": -1.0, "max_val": 1.0, "clip": True}
        ),
    )
    converted = read_conversion(output)
    assert (converted.obs_processor, converted.action_processor) == processors
    assert converted.sha256 == report["sha256"]
    assert report["obs_processor"] == dataclasses.asdict(processors[0])
    assert report["action_processor"] == dataclasses.asdict(processors[1])
    proof = report["proof"]
    assert proof["max_difference"] <= proof["tolerance"] == 1e-5
    assert 0 < proof["max_rounding"] < 1e-6
    assert 0 < proof["rounding_share"] < 1
    assert 1000 <= proof["observations"] < 2000
    assert (proof["different_actions"], proof["ties"]) == (None, 0)


def test_the_chosen_processor_is_reported(shared_data, tmp_path):
    source = lander_dir(shared_data, tmp_path)
    chosen = ProcessorSpec("RescaleProcessor", {"min_val": 0.0, "max_val": 2.0})
    convert_folder(source, tmp_path / "out", chosen)
    assert read_conversion(tmp_path / "out").action_processor == chosen


def test_policies_that_float32_cannot_hold_are_not_written(tmp_path):
    """Differences of nearly equal hidden units decide what this one does."""
    rows = np.zeros((8, 8))
    rows[0] = rows[1] = 0.1 * np.arange(1, 9)
    rows[1, 0] += 1e-9
    head = np.zeros((2, 8))
    head[:, 0], head[:, 1] = 1e9, -1e9
    policy = DeterministicPolicy(
        layers=[(rows, np.full(8, 100.0)), (head, np.zeros(2))],
        activation="relu",
        obs_mean=None,
        obs_stdev=None,
        action=ActionSpec("box", -np.ones(2), np.ones(2)),
        env_name="LunarLanderContinuous-v2",
        env_config={},
    )
    write_policy(policy, tmp_path / "in")
    with pytest.raises(ConversionError, match="float32 cannot hold this policy$") as e:
        convert_folder(tmp_path / "in", tmp_path / "out")
    assert str(e.value).startswith(
        f"{tmp_path / 'in'}, policy: the converted policy acts differently from the "
        "trained one: actions differ by "
    )
    assert not (tmp_path / "out").exists()


def test_folders_that_are_not_there_are_named(tmp_path):
    with pytest.raises(ExtractionError, match="nowhere: no such file or folder$"):
        convert_folder(tmp_path / "nowhere", tmp_path / "out")


@pytest.mark.slow
def test_converter_names_what_is_wrong_and_writes_nothing(root, tmp_path):
    source = tmp_path / "empty"
    source.mkdir()
    output = tmp_path / "output"
    result = run_converter(root, "--checkpoint_dir", source, "--output_dir", output)
    assert result.returncode == 1
    assert "save_to_posggym_format.py: " in result.stderr
    assert "holds no policies" in result.stderr
    assert "Traceback" not in result.stderr
    assert not output.exists()


def test_conversion_keeps_the_observation_normalisation_exact(tmp_path):
    """A constant observation has a small stdev; folding must not lose it."""
    architecture = Architecture(2, 2)
    low, high = -np.ones(2, np.float32), np.ones(2, np.float32)
    policy = dataclasses.replace(
        make_policy(
            architecture,
            [0.1, 0.2, -0.1, 0.3, 0.0, 0.0],
            ActionSpec("box", np.float64(low), np.float64(high)),
        ),
        obs_mean=np.array([5.0, -3.0]),
        obs_stdev=np.array([0.1, 0.1]),
    )
    loaded = load_in_posggym(policy, spaces.Box(low, high), tmp_path / "p.pkl")
    observation = np.float32([5.02, -3.01])
    expected = 0.1 * 0.2 + 0.2 * -0.1, -0.1 * 0.2 + 0.3 * -0.1
    assert loaded.step(observation) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ([-np.inf, -np.inf], [np.inf, np.inf]),
        ([0.0, -1e-6], [1e6, 1e-6]),
        ([100.0, -7.5], [101.0, -7.25]),
    ],
)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_any_action_bounds_agree_with_float64(tmp_path, low, high, scale):
    rng = np.random.default_rng(0)
    architecture = Architecture(3, 2, (4,), "tanh")
    policy = make_policy(
        architecture,
        scale * rng.normal(size=architecture.num_parameters),
        ActionSpec("box", np.array(low), np.array(high)),
    )
    space = spaces.Box(np.float32(low), np.float32(high))
    loaded = load_in_posggym(policy, space, tmp_path / "policy.pkl")
    network = policy.network()
    for observation in rng.normal(size=(50, 3)).astype(np.float32):
        expected = policy.action.decode(network(observation))
        size = np.maximum(np.abs(expected), np.abs(network(observation)))
        finite = np.where(
            np.isfinite(low) & np.isfinite(high), np.subtract(high, low), 0
        )
        tolerance = 1e-5 * np.maximum(finite, size)
        assert (np.abs(loaded.step(observation) - expected) <= tolerance).all()


def test_bounds_on_one_side_only_are_refused():
    """None of POSGGym's processors clips to them."""
    action = ActionSpec("box", np.array([-np.inf]), np.array([2.0]))
    policy = make_policy(Architecture(1, 1, (), "tanh"), [1.0, 0.0], action)
    with pytest.raises(ConversionError, match="needs finite bounds"):
        convert(policy)


def test_integer_observations_are_numbers_like_any_other(tmp_path):
    rng = np.random.default_rng(0)
    architecture = Architecture(4, 2, (5,), "relu")
    policy = make_policy(
        architecture,
        rng.normal(size=architecture.num_parameters),
        ActionSpec("box", -np.ones(2), np.ones(2)),
        obs_mean=np.full(4, 100.0),
        obs_stdev=np.full(4, 50.0),
    )
    space = spaces.Box(-1, 1, (2,))
    loaded = load_in_posggym(policy, space, tmp_path / "policy.pkl")
    for observation in rng.integers(0, 255, (50, 4)):
        expected = policy.action.decode(policy.network()(observation))
        assert loaded.step(observation) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("stdev", [1e-12, 1e-3, 1e12])
def test_observations_of_any_spread_are_normalised_exactly(tmp_path, stdev):
    rng = np.random.default_rng(0)
    architecture = Architecture(3, 2, (), "tanh")
    policy = make_policy(
        architecture,
        0.3 * rng.normal(size=architecture.num_parameters),
        ActionSpec("box", -np.ones(2), np.ones(2)),
        obs_mean=np.zeros(3),
        obs_stdev=np.full(3, stdev),
    )
    space = spaces.Box(-1, 1, (2,))
    loaded = load_in_posggym(policy, space, tmp_path / "policy.pkl")
    for observation in (stdev * rng.normal(size=(50, 3))).astype(np.float32):
        expected = policy.action.decode(policy.network()(observation))
        assert loaded.step(observation) == pytest.approx(expected, abs=2e-5)


@settings(max_examples=30)
@given(st.floats(1e-6, 1e15), st.integers(2, 6), st.integers(0, 1000), st.booleans())
def test_the_largest_output_wins_at_any_scale(
    tmp_path_factory, scale, count, seed, relu
):
    outputs = np.random.default_rng(seed).normal(size=count) * scale
    architecture = Architecture(1, count, (), "relu" if relu else "tanh")
    parameters = np.concatenate([np.zeros(count), outputs])
    policy = make_policy(architecture, parameters, ActionSpec("discrete", n=count))
    path = tmp_path_factory.mktemp("scale") / "policy.pkl"
    loaded = load_in_posggym(policy, spaces.Discrete(count), path)
    loaded.step(np.float32([1.0]))
    probabilities = loaded._state["action_probs"].reshape(-1)
    assert np.array_equal(probabilities, np.eye(count)[outputs.argmax()])


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("bias", [0.0, 1e7, -1e12])
def test_what_all_outputs_have_in_common_costs_no_precision(tmp_path, activation, bias):
    rng = np.random.default_rng(0)
    policy = make_policy(
        Architecture(3, 5, (6,), activation),
        np.append(rng.normal(size=54), np.full(5, bias)),
        ActionSpec("discrete", n=5),
    )
    loaded = load_in_posggym(policy, spaces.Discrete(5), tmp_path / "p.pkl")
    network = policy.network()
    for observation in rng.normal(size=(500, 3)).astype(np.float32):
        outputs = network(observation)
        # What float64 resolves with such a bias, float32 resolves without it.
        if np.diff(np.sort(outputs)[-2:])[0] > 1e-5 + 1e-15 * abs(bias):
            assert loaded.step(observation) == outputs.argmax()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("lstm_size", [0, 3])
def test_equal_outputs_are_resolved_as_the_trained_policy_does(
    tmp_path, activation, lstm_size
):
    """Small whole numbers are exact in float32, and many sums of them are equal."""
    rng = np.random.default_rng(0)
    architecture = Architecture(3, 6, (), activation, lstm_size)
    parameters = rng.integers(-1, 2, architecture.num_parameters)
    policy = make_policy(architecture, parameters, ActionSpec("discrete", n=6))
    if lstm_size:
        # Its outputs are no whole numbers, so two actions are the same instead.
        weight, bias = policy.layers[-1]
        weight[4], bias[4] = weight[1], bias[1] = weight.sum(axis=0), 3.0
    loaded = load_in_posggym(policy, spaces.Discrete(6), tmp_path / "p.pkl")
    network, ties = policy.network(), 0
    for observation in rng.integers(-1, 2, (100, 3)).astype(np.float32):
        outputs = network(observation)
        ties += (outputs == outputs.max()).sum() > 1
        assert loaded.step(observation) == outputs.argmax()
    assert ties > 20


def test_more_actions_than_can_be_compared_are_refused():
    action = ActionSpec("discrete", n=129)
    policy = make_policy(Architecture(1, 129), np.zeros(258), action)
    message = "129 discrete actions; at most 128 are exact"
    with pytest.raises(ConversionError, match=exactly(message)):
        convert(policy)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(
    "shape", [{}, {"hidden": (8,)}, {"lstm_size": 4}, {"hidden": (8,), "lstm_size": 4}]
)
def test_strong_normalisation_costs_no_digits(tmp_path, activation, shape):
    """Means of 300 standard deviations would be terms that cancel."""
    rng = np.random.default_rng(0)
    architecture = Architecture(40, 2, activation=activation, **shape)
    mean = rng.choice([-30.0, 30.0], 40)
    policy = make_policy(
        architecture,
        0.1 * rng.normal(size=architecture.num_parameters),
        ActionSpec("box", -np.ones(2), np.ones(2)),
        obs_mean=mean,
        obs_stdev=np.full(40, 0.1),
    )
    loaded = load_in_posggym(policy, spaces.Box(-1, 1, (2,)), tmp_path / "p.pkl")
    network = policy.network()
    for noise in rng.normal(size=(100, 40)):
        observation = np.float32(mean + 0.1 * noise)
        expected = policy.action.decode(network(observation))
        assert loaded.step(observation) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_constant_observation_costs_a_linear_policy_no_digits(tmp_path, activation):
    policy = make_policy(
        Architecture(3, 3, activation=activation),
        0.03 * np.random.default_rng(2).normal(size=12),
        ActionSpec("discrete", n=3),
        obs_mean=np.array([1.0, 0.0, 0.0]),
        obs_stdev=np.full(3, 0.1),
    )
    loaded = load_in_posggym(policy, spaces.Discrete(3), tmp_path / "p.pkl")
    network = policy.network()
    for observation in np.eye(3, dtype=np.float32):
        assert loaded.step(observation) == network(observation).argmax()


@pytest.mark.slow
def test_too_few_observations_prove_nothing(shared_data, root, tmp_path):
    source = lander_dir(shared_data, tmp_path)
    arguments = ("--checkpoint_dir", source, "--output_dir", tmp_path / "out")
    result = run_converter(root, *arguments, "--observations", 999)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        "save_to_posggym_format.py: 999 observations prove too little; compare at "
        "least 1000"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_conversions_are_judged_alike_on_every_processor(root, tmp_path):
    """A linear policy for Humanoid, as strongly normalised as the published ones."""
    env = gymnasium.make("Humanoid-v4")
    rng = np.random.default_rng(0)
    observations = []
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        done = False
        while not done:
            observations.append(observation)
            action = rng.uniform(-0.4, 0.4, 17)
            observation, _, done, _, _ = env.step(action)
    stdev = np.sqrt(np.maximum(np.var(observations, axis=0), 1e-2))
    policy = DeterministicPolicy(
        layers=[(0.1 * rng.normal(size=(17, 376)), np.zeros(17))],
        activation="tanh",
        obs_mean=np.mean(observations, axis=0),
        obs_stdev=stdev,
        action=ActionSpec("box", np.full(17, -0.4), np.full(17, 0.4)),
        env_name="Humanoid-v4",
        env_config={},
    )
    write_policy(policy, tmp_path / "in")
    proofs, files = [], set()
    for isa in ("SSE41", "AVX2", "ALL"):
        arguments = (
            "--checkpoint_dir",
            tmp_path / "in",
            "--output_dir",
            tmp_path / isa,
        )
        result = run_converter(root, *arguments, DNNL_MAX_CPU_ISA=isa)
        assert result.returncode == 0, result.stderr
        report = json.loads((tmp_path / isa / "conversion.json").read_text())
        proofs.append(report["proof"])
        files.add((tmp_path / isa / "policy.pkl").read_bytes())
    assert len(files) == 1
    assert len({proof["max_difference"] for proof in proofs}) == 1
    for proof in proofs:
        assert proof["max_rounding"] < 1e-5
        assert proof["rounding_share"] < 0.1
