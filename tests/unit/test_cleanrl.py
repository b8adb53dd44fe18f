"""State dicts of CleanRL's layouts, and of modules whose layers are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cleanrl_agents import AGENTS, LARGEST, load_agent, save_agent
from played_policies import converted_policy, decisions, episodes_of
from posggym_es.policies.convertible import ConversionError
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.registry import read_policies, source_of
from posggym_es.sources.settings import AgentSettings

MODELS = Path(__file__).parents[1] / "data" / "sources" / "cleanrl"


def read(path: Path, **settings):
    (policy,) = read_policies(path, settings=AgentSettings.from_dict(settings)).values()
    return policy


def largest_difference(policy, module, folder) -> float:
    """Return how far actions or distributions are from the module's own."""
    converted, env = converted_policy(policy, folder)
    worst = 0.0
    for episode in episodes_of(env, at_least=1000):
        with torch.no_grad():
            expected = module(torch.tensor(np.array(episode))).numpy()
        found = decisions(converted, episode)
        if policy.deterministic:
            given = np.array([decision.action for decision in found])
        else:
            given = np.array([decision.distribution for decision in found])
        if policy.outputs_are == "gaussian":
            # POSGGym's distribution is in units of half the range.
            expected = expected / LARGEST
        worst = max(worst, np.abs(np.ravel(given) - np.ravel(expected)).max())
    return worst


@pytest.mark.parametrize("name", AGENTS)
def test_converted_policies_act_as_the_script_does(tmp_path, name):
    path = MODELS / f"{name}.cleanrl_model"
    policy = read(path, env_name=AGENTS[name].env_name)
    module = load_agent(name, path)
    most = 1e-5 if policy.deterministic else 1e-6
    assert largest_difference(policy, module, tmp_path) <= most


def test_layouts_are_recognised_by_their_names(tmp_path):
    save_agent("ppo", tmp_path / "agent.pt")
    assert source_of(tmp_path / "agent.pt").name == "cleanrl"
    assert source_of(tmp_path).name == "cleanrl"
    assert source_of(MODELS).name == "cleanrl"


def test_another_activation_is_said(tmp_path):
    path = MODELS / "ppo.cleanrl_model"
    policy = read(path, env_name="CartPole-v1", activation="relu")
    module = load_agent("ppo", path)
    for number in (1, 3):
        module.actor[number] = nn.ReLU()
    assert largest_difference(policy, module, tmp_path) <= 1e-6


def test_normalised_observations_are_said(tmp_path):
    path = MODELS / "ppo_continuous_action.cleanrl_model"
    mean, stdev, clip = [0.5, -0.25, 3.0], [0.5, 2.0, 4.0], 0.75
    said = {"obs_mean": mean, "obs_stdev": stdev, "obs_clip": clip}
    policy = read(path, env_name="Pendulum-v1", **said)
    module = load_agent("ppo_continuous_action", path)

    def normalized(episode):
        episode = (episode - torch.tensor(mean)) / torch.tensor(stdev)
        return module(episode.clamp(-clip, clip))

    assert largest_difference(policy, normalized, tmp_path) <= 1e-6
    said["obs_mean"] = [0.0]
    with pytest.raises(
        ExtractionError, match=r"shape \(1,\) do not match the network'"
    ):
        read(path, env_name="Pendulum-v1", **said)


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
    assert largest_difference(policy, module, tmp_path) <= 1e-6
    acting = read(tmp_path, deterministic=True)
    best = largest_difference(acting, lambda x: module(x).argmax(-1), tmp_path)
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
