"""Solutions of EvoTorch, compared with their own modules in PyTorch."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from played_policies import converted_policy, decisions, episodes_of
from posggym_es.policies.foreign import ForeignPolicy
from posggym_es.policies.steps import LSTM
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.registry import read_policies, source_of

MODELS = Path(__file__).parents[1] / "data" / "sources" / "evotorch"
NETWORKS = {
    "cartpole": nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)),
    "pendulum": nn.Sequential(
        *(nn.Linear(3, 8), nn.Tanh()), *(nn.Linear(8, 6), nn.Tanh()), nn.Linear(6, 1)
    ),
    "linear_pendulum": nn.Linear(3, 1),
}


def solution(path: Path) -> dict:
    """Return the arrays of a solution, which has its parameters as a vector, too."""

    class Unpickler(pickle.Unpickler):
        # Modules of EvoTorch, which is not installed.
        def find_class(self, module: str, name: str) -> type:
            if module.startswith("evotorch"):
                return type(name, (nn.Module,), {})
            return super().find_class(module, name)

    with path.open("rb") as file:
        return Unpickler(file).load()


@pytest.mark.parametrize("name", NETWORKS)
def test_converted_policies_act_as_the_solution_does(tmp_path, name):
    path = MODELS / f"{name}.pickle"
    (policy,) = read_policies(path).values()
    saved = solution(path)
    network = NETWORKS[name]
    nn.utils.vector_to_parameters(saved["solution"], network.parameters())
    converted, env = converted_policy(policy, tmp_path)
    for episode in episodes_of(env, at_least=1000):
        observations = torch.tensor(np.array(episode))
        if "obs_mean" in saved:
            observations = (observations - saved["obs_mean"]) / saved["obs_stdev"]
        with torch.no_grad():
            outputs = network(observations)
        if name == "cartpole":
            expected = outputs.argmax(-1).numpy()
        else:
            expected = outputs.clamp(-2.0, 2.0).numpy()
        found = [decision.action for decision in decisions(converted, episode)]
        # Of the range of torques, which is 4.
        assert np.abs(np.ravel(found) - np.ravel(expected)).max() <= 4e-5


def test_solutions_say_everything(tmp_path):
    assert source_of(MODELS).name == "evotorch"
    policies = read_policies(MODELS)
    assert set(policies) == set(NETWORKS)
    policy = policies["pendulum"]
    assert isinstance(policy, ForeignPolicy)
    assert policy.env_name == "Pendulum-v1"
    assert policy.metadata.timesteps == 6000
    assert not any(isinstance(step, LSTM) for step in policy.steps)


def test_other_layers_are_refused(tmp_path):
    path = tmp_path / "x.pickle"
    for module, message in (
        (nn.Sequential(), "the network has no layers"),
        (nn.Sequential(nn.Tanh()), "Tanh does not follow a linear layer"),
        (nn.GRU(2, 2), "not a solution of EvoTorch: it names torch.nn.modules.rnn.GRU"),
    ):
        saved = {"solution": torch.zeros(2), "policy": module, "env": "CartPole-v1"}
        path.write_bytes(pickle.dumps(saved))
        with pytest.raises(ExtractionError, match=f"{path}: .*{message}"):
            read_policies(path)
