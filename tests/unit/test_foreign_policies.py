"""Networks of all forms, in POSGGym's environments, too: expressed exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
import posggym
import pytest
import torch
from gymnasium import spaces
from torch import nn

from pgpelib.policies.networks import LSTM
from played_policies import converted_policy, decisions, episodes_of
from posggym_es.conversion.folders import convert_folder
from posggym_es.models.processors import ProcessorSpec
from posggym_es.policies.convertible import ConversionError
from posggym_es.policies.evolved import convertible, trainable
from posggym_es.policies.foreign import ForeignPolicy
from posggym_es.policies.policy_file import read_policy, write_policy
from posggym_es.policies.steps import Dense, Normalization, Step
from posggym_es.sources.settings import AgentSettings

MIXED = ["none", "relu", "tanh", "lstm", "relu"]


def network(kinds: list[str], inputs: int, outputs: int, seed: int = 0) -> list[Step]:
    """Return random layers of the given kinds, and a last linear one."""
    rng = np.random.default_rng(seed)

    def dense(size: int, activation: str) -> Dense:
        weight = rng.normal(size=(size, inputs)) / np.sqrt(inputs)
        return Dense(weight, 0.3 * rng.normal(size=size), activation)

    steps: list[Step] = []
    for number, kind in enumerate(kinds):
        size = 5 + number
        if kind == "lstm":
            shapes = (4 * size, inputs), (4 * size, size), (4 * size,)
            steps.append(LSTM(*(0.5 * rng.normal(size=shape) for shape in shapes)))
        else:
            steps.append(dense(size, kind))
        inputs = size
    return [*steps, dense(outputs, "none")]


def difference(policy: ForeignPolicy, folder) -> float:
    """Return how far POSGGym is from the policy itself, in float64."""
    converted, env = converted_policy(policy, folder)
    original = policy.reference_agent(env.model, "0")
    worst = 0.0
    for episode in episodes_of(env, at_least=300):
        original.reset(seed=0)
        for observation, found in zip(
            episode, decisions(converted, episode), strict=True
        ):
            given = found.action if policy.deterministic else found.distribution
            expected = original.decide(observation)
            gap = np.abs(np.ravel(given) - np.ravel(expected)).max()
            worst = max(worst, float(gap))
    return worst


@pytest.mark.parametrize(
    ("outputs_are", "kinds"),
    [
        *(("categorical", kinds) for kinds in ([], ["tanh"], ["lstm", "lstm"], MIXED)),
        *(("argmax", kinds) for kinds in (["relu", "relu"], MIXED)),
    ],
)
@pytest.mark.parametrize("clip", [None, 0.5])
def test_discrete_policies_are_exact(tmp_path, outputs_are, kinds, clip):
    stdev = np.array([0.02, 0.5, 0.02, 0.5])
    policy = ForeignPolicy(
        network(kinds, 4, 2),
        outputs_are,
        "CartPole-v1",
        {},
        Normalization(np.array([3.0, 0.1, -0.01, 0.2]), stdev, clip),
    )
    # float32 rounds observations that are 150 standard deviations away.
    assert difference(policy, tmp_path) <= 1e-5


def test_strong_normalisation_costs_a_linear_policy_no_digits(tmp_path):
    policy = ForeignPolicy(
        [Dense(np.array([[0.0, 0.03, 0.0, -0.01], np.zeros(4)]), np.zeros(2))],
        "argmax",
        "CartPole-v1",
        {},
        Normalization(np.full(4, 0.2), np.full(4, 0.1)),
    )
    assert difference(policy, tmp_path) == 0


@pytest.mark.parametrize("outputs_are", ["clipped", "squashed", "gaussian"])
@pytest.mark.parametrize("kinds", [[], ["tanh", "tanh"], ["relu", "tanh"], ["lstm"]])
def test_continuous_policies_are_exact(tmp_path, outputs_are, kinds):
    size = 2 if outputs_are == "gaussian" else 1
    policy = ForeignPolicy(network(kinds, 3, size), outputs_are, "Pendulum-v1", {})
    assert difference(policy, tmp_path) <= 1e-5


def test_what_has_no_exact_form_is_refused(tmp_path):
    steps = network(["tanh", "relu", "tanh"], 4, 2)
    policy = ForeignPolicy(steps, "argmax", "CartPole-v1", {})
    with pytest.raises(ConversionError, match="the network mixes tanh and relu in an"):
        converted_policy(policy, tmp_path)


def test_extracted_policies_come_back(tmp_path):
    policy = ForeignPolicy(
        network(MIXED, 3, 2),
        "gaussian",
        "Pendulum-v1",
        {},
        Normalization(np.zeros(3), np.ones(3), 5.0),
        -2 * np.ones(1),
        2 * np.ones(1),
    )
    write_policy(policy, tmp_path)
    again = read_policy(tmp_path)
    assert isinstance(again, ForeignPolicy)
    assert again.to_tensors()[1] == policy.to_tensors()[1]
    x = np.ones(3)
    assert np.array_equal(again.network()(x), policy.network()(x))
    acting = policy.without_chance()
    assert acting.network()(x) == pytest.approx(policy.network()(x)[:1])
    assert (acting.outputs_are, acting.deterministic) == ("clipped", True)


def save_module(folder, inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    module = nn.ModuleDict({"a": nn.Linear(inputs, 6), "pi": nn.Linear(6, outputs)})
    torch.save(module.state_dict(), folder / "mine.pth")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env_name", "settings", "processors"),
    [
        # What wrappers that flatten observations give.
        ("CooperativeReaching-v0", {}, ("FlattenProcessor", "IdentityProcessor")),
        # What an environment gives itself.
        ("DrivingContinuous-v0", {}, ("IdentityProcessor", "RescaleProcessor")),
        # Trained with rescaled observations and actions.
        (
            "DrivingContinuous-v0",
            {
                "obs_processor": {"name": "RescaleProcessor"},
                "action_processor": {
                    "name": "RescaleProcessor",
                    "config": {"min_val": 0.0, "max_val": 1.0},
                },
            },
            ("RescaleProcessor", "RescaleProcessor"),
        ),
    ],
)
def test_agents_of_posggym_have_the_processors_of_their_training(
    tmp_path, env_name, settings, processors
):
    env = posggym.make(env_name)
    inputs = spaces.flatdim(env.observation_spaces["0"])
    action = env.action_spaces["0"]
    discrete = isinstance(action, spaces.Discrete)
    outputs = spaces.flatdim(action) * (1 if discrete else 2)
    save_module(tmp_path, inputs, outputs)
    agent = AgentSettings.from_dict(
        {
            "env_name": f"posggym:{env_name}",
            "layers": ["a", "pi"],
            "outputs": "categorical" if discrete else "gaussian",
            **settings,
        }
    )
    written = convert_folder(tmp_path / "mine.pth", tmp_path / "out", agent=agent)
    ((path, report),) = written.items()
    assert path.name == "mine.pkl"
    found = report["obs_processor"], report["action_processor"]
    assert tuple(each["name"] for each in found) == processors
    config = settings.get("action_processor", {}).get("config")
    assert config in (None, found[1]["config"])
    assert report["proof"]["max_difference"] <= 1e-5


def test_impossible_policies_are_refused():
    steps = network(["tanh"], 4, 2)
    policy = ForeignPolicy(steps, "argmax", "CartPole-v1", {})
    for changes, message in (
        ({"steps": []}, "the network has no layers"),
        ({"steps": steps[::-1]}, "layer 2 has 4 inputs, but gets 2 numbers"),
        ({"outputs_are": "chance"}, "outputs are 'chance'; choose argmax, "),
        (
            {"outputs_are": "gaussian", "steps": network([], 4, 3)},
            "the last layer does",
        ),
        (
            {"normalization": Normalization(np.zeros(4), np.zeros(4))},
            "a standard deviation of observations is not positive",
        ),
        (
            {"normalization": Normalization(np.zeros(4), np.ones(4), -1.0)},
            "obs_clip is not a positive number",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(policy, **changes)


IDENTITY = ProcessorSpec("IdentityProcessor", {})


def cart_policy(kinds, outputs_are="categorical", **fields) -> ForeignPolicy:
    fields = {"obs_processor": IDENTITY, "action_processor": IDENTITY, **fields}
    return ForeignPolicy(network(kinds, 4, 2), outputs_are, "CartPole-v1", {}, **fields)


@pytest.mark.parametrize("kinds", [[], ["relu", "relu"], ["tanh", "lstm", "tanh"]])
@pytest.mark.parametrize("norm", [None, Normalization(np.ones(4), 2 * np.ones(4))])
def test_policies_that_the_trainer_can_train_stay_the_same(kinds, norm, tmp_path):
    policy = cart_policy(kinds, normalization=norm)
    written = []
    for number, each in enumerate([policy, convertible(trainable(policy))]):
        write_policy(each, tmp_path / str(number))
        files = sorted((tmp_path / str(number)).iterdir())
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]


@pytest.mark.parametrize(
    "policy",
    [
        cart_policy(MIXED),
        cart_policy([], outputs_are="argmax"),
        cart_policy([], obs_processor=None),
        cart_policy([], normalization=Normalization(np.ones(4), np.ones(4), clip=10.0)),
    ],
)
def test_policies_that_the_trainer_cannot_train_are_refused(policy):
    with pytest.raises(ValueError, match="the trainer cannot train"):
        trainable(policy)
