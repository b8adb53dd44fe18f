"""State dicts of CleanRL's layouts, and of modules whose layers are named."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from played_policies import converted_policy, decisions, episodes_of
from posggym_es.policies.convertible import ConversionError
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.registry import read_policies, source_of
from posggym_es.sources.settings import AgentSettings

# The environment that each script was for.
SCRIPTS = {
    "ppo": "CartPole-v1",
    "ppo_lstm": "CartPole-v1",
    "ppo_continuous_action": "Pendulum-v1",
    "dqn": "CartPole-v1",
    "ddpg_continuous_action": "Pendulum-v1",
    "td3_continuous_action": "Pendulum-v1",
    "sac_continuous_action": "Pendulum-v1",
}
LARGEST_TORQUE = 2.0
MODELS = Path(__file__).parents[1] / "data" / "sources" / "cleanrl"


def read(path: Path, **settings):
    (policy,) = read_policies(path, settings=AgentSettings.from_dict(settings)).values()
    return policy


def decided(converted, policy, episode) -> np.ndarray:
    """Return actions or distributions in an episode, shape (steps, n)."""
    found = decisions(converted, list(episode))
    if policy.deterministic:
        rows = [decision.action for decision in found]
    else:
        rows = [decision.distribution for decision in found]
    return np.array(rows).reshape(len(found), -1)


def module_differences(policy, module, folder) -> float:
    """Return the largest difference from what a module gives in random play."""
    converted, env = converted_policy(policy, folder)
    worst = 0.0
    for episode in episodes_of(env, at_least=1000):
        with torch.no_grad():
            expected = module(torch.tensor(np.array(episode))).numpy()
        found = decided(converted, policy, episode)
        worst = max(worst, np.abs(found - expected.reshape(found.shape)).max())
    return worst


@pytest.mark.parametrize("name", SCRIPTS)
def test_converted_policies_act_as_the_script_does(tmp_path, name):
    path = MODELS / f"{name}.cleanrl_model"
    policy = read(path, env_name=SCRIPTS[name])
    converted, _ = converted_policy(policy, tmp_path)
    recorded = np.load(path.with_suffix(".npz"))
    expected, most = recorded["outputs"], 1e-5 if policy.deterministic else 1e-6
    if policy.outputs_are == "gaussian":
        # POSGGym's distribution is in units of half the range.
        expected = expected / LARGEST_TORQUE
    found = decided(converted, policy, recorded["observations"])
    assert len(found) == 1000
    assert np.abs(found - expected.reshape(found.shape)).max() <= most


def test_layouts_are_recognised_by_their_names(tmp_path):
    shutil.copy(MODELS / "ppo.cleanrl_model", tmp_path / "agent.pt")
    assert source_of(tmp_path / "agent.pt").name == "cleanrl"
    assert source_of(tmp_path).name == "cleanrl"
    assert source_of(MODELS).name == "cleanrl"


def test_another_activation_is_said(tmp_path):
    torch.manual_seed(0)
    agent = nn.ModuleDict(
        {
            "critic": nn.Sequential(nn.Linear(4, 1)),
            "actor": nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)),
        }
    )
    torch.save(agent.state_dict(), tmp_path / "agent.pt")
    policy = read(tmp_path / "agent.pt", env_name="CartPole-v1", activation="relu")
    assert (
        module_differences(policy, lambda x: agent["actor"](x).softmax(-1), tmp_path)
        <= 1e-6
    )


def test_observation_statistics_of_another_size_are_refused():
    path = MODELS / "ppo_continuous_action.cleanrl_model"
    with pytest.raises(
        ExtractionError, match=r"shape \(1,\) do not match the network'"
    ):
        read(path, obs_mean=[0.0])


def test_actions_of_other_bounds_are_refused(tmp_path):
    path = MODELS / "td3_continuous_action.cleanrl_model"
    policy = read(path, env_name="MountainCarContinuous-v0")
    with pytest.raises(ConversionError, match="trained with the action bounds"):
        converted_policy(policy, tmp_path)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"a.weight": torch.zeros(2, 2)}, "the layout of no script .* source: module"),
        (
            {"network.0.weight": torch.zeros(32, 4, 8, 8)},
            "network.0.weight has 4 axes, so it is no linear layer",
        ),
        (
            {"network.0.weight": torch.zeros(2, 2), "atoms": torch.zeros(3)},
            "it is a C51 network",
        ),
        ([1], "the layout of no script"),
    ],
)
def test_other_models_are_refused(tmp_path, model, message):
    path = tmp_path / "x.cleanrl_model"
    torch.save(model, path)
    with pytest.raises(ExtractionError, match=f"{path}: .*{message}"):
        read(path, env_name="CartPole-v1")


class Module(nn.Module):
    """Layers of both activations, without one, and an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.second = nn.Linear(8, 5, bias=False)
        self.memory = nn.LSTM(5, 6)
        self.pi = nn.ModuleList([nn.Linear(6, 7), nn.Linear(7, 2)])

    def forward(self, episode):
        hidden, _ = self.memory(self.second(self.first(episode).relu()).unsqueeze(1))
        return self.pi[1](self.pi[0](hidden.squeeze(1)).relu()).softmax(-1)


DESCRIBED = """\
env_name: CartPole-v1
activation: relu
layers: [first, second none, memory, pi.0, pi.1]
outputs: categorical
"""


def test_modules_are_read_by_the_names_of_their_layers(tmp_path):
    torch.manual_seed(1)
    module = Module()
    torch.save(module.state_dict(), tmp_path / "mine.pth")
    message = "mine.pth: missing required key 'layers' of the agent"
    with pytest.raises(ExtractionError, match=message):
        read(tmp_path)
    (tmp_path / "mine.yaml").write_text(DESCRIBED)
    assert source_of(tmp_path).name == "module"
    policy = read(tmp_path)
    assert module_differences(policy, module, tmp_path) <= 1e-6
    acting = read(tmp_path, deterministic=True)
    best = module_differences(acting, lambda x: module(x).argmax(-1), tmp_path)
    assert best == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("second none", "secnd"), "the weights have no secnd.weight"),
        (("second none", "second gelu"), "layer 2: unknown activation 'gelu'"),
        (("second none, ", ""), "layer 2 has 5 inputs, but gets 8 numbers"),
        (("outputs: categorical", ""), "missing required key 'outputs'"),
        (("categorical", "categorial"), "did you mean 'categorical'?"),
        ((", pi.0, pi.1", ""), "the network has no linear layers"),
    ],
)
def test_wrong_descriptions_are_refused(tmp_path, change, message):
    torch.save(Module().state_dict(), tmp_path / "mine.pth")
    (tmp_path / "mine.yaml").write_text(DESCRIBED.replace(*change))
    with pytest.raises(ExtractionError, match=message):
        read(tmp_path)


def test_other_memories_are_refused(tmp_path):
    module = nn.ModuleDict({"memory": nn.GRU(4, 3), "pi": nn.Linear(3, 2)})
    torch.save(module.state_dict(), tmp_path / "mine.pth")
    said = {"layers": ["memory", "pi"], "outputs": "argmax", "env_name": "CartPole-v1"}
    with pytest.raises(ExtractionError, match="a GRU cannot be expressed"):
        read(tmp_path / "mine.pth", **said)
