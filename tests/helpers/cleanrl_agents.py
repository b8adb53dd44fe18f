"""Networks of the layout of CleanRL's scripts, and how these save them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

# What the scripts' environments have: CartPole-v1 and Pendulum-v1.
OBSERVATIONS, ACTIONS = 4, 2
MEASUREMENTS, TORQUES, LARGEST = 3, 1, 2.0


def _net(*sizes: int, activation: type[nn.Module] = nn.Tanh) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


class PPO(nn.Module):
    """Discrete actions: logits."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = _net(OBSERVATIONS, 8, 8, 1)
        self.actor = _net(OBSERVATIONS, 8, 8, ACTIONS)

    def forward(self, episode: torch.Tensor) -> torch.Tensor:
        return self.actor(episode).softmax(-1)


class PPOContinuous(nn.Module):
    """Means, and log standard deviations that do not depend on the observation."""

    def __init__(self) -> None:
        super().__init__()
        self.critic = _net(MEASUREMENTS, 8, 8, 1)
        self.actor_mean = _net(MEASUREMENTS, 8, 8, TORQUES)
        self.actor_logstd = nn.Parameter(torch.full((1, TORQUES), -0.5))

    def forward(self, episode: torch.Tensor) -> torch.Tensor:
        mean = self.actor_mean(episode)
        return torch.stack([mean, self.actor_logstd.exp().expand_as(mean)], 1)


class PPORecurrent(nn.Module):
    """A trunk with relu, an LSTM, and linear heads."""

    def __init__(self) -> None:
        super().__init__()
        layers = _net(OBSERVATIONS, 8, 8, activation=nn.ReLU)
        self.network = nn.Sequential(*layers, nn.ReLU())
        self.lstm = nn.LSTM(8, 6)
        self.actor = nn.Linear(6, ACTIONS)
        self.critic = nn.Linear(6, 1)

    def forward(self, episode: torch.Tensor) -> torch.Tensor:
        hidden, _ = self.lstm(self.network(episode).unsqueeze(1))
        return self.actor(hidden.squeeze(1)).softmax(-1)


class DQN(nn.Module):
    """Values of discrete actions."""

    def __init__(self) -> None:
        super().__init__()
        self.network = _net(OBSERVATIONS, 12, 8, ACTIONS, activation=nn.ReLU)

    def forward(self, episode: torch.Tensor) -> torch.Tensor:
        return self.network(episode).argmax(-1)


class _Squashed(nn.Module):
    def __init__(self, last: str) -> None:
        super().__init__()
        self.fc1 = nn.Linear(MEASUREMENTS, 8)
        self.fc2 = nn.Linear(8, 8)
        self._last = last
        setattr(self, last, nn.Linear(8, TORQUES))
        self.register_buffer("action_scale", torch.full((TORQUES,), LARGEST))
        self.register_buffer("action_bias", torch.zeros(TORQUES))

    def forward(self, episode: torch.Tensor) -> torch.Tensor:
        hidden = self.fc2(self.fc1(episode).relu()).relu()
        output = getattr(self, self._last)(hidden).tanh()
        return output * self.action_scale + self.action_bias


class TD3(_Squashed):
    """Actions squashed by tanh; DDPG's actor is the same."""

    def __init__(self) -> None:
        super().__init__("fc_mu")


class SAC(_Squashed):
    """A distribution squashed by tanh, of which the mean is taken."""

    def __init__(self) -> None:
        super().__init__("fc_mean")
        self.fc_logstd = nn.Linear(8, TORQUES)


class Agent(NamedTuple):
    """An agent of a script.

    Parameters
    ----------
    make
        Makes its network.
    env_name
        The environment that it is for.
    with_critics
        Whether the script saves it in a tuple with its critics.
    """

    make: Callable[[], nn.Module]
    env_name: str
    with_critics: bool = False


AGENTS = {
    "ppo": Agent(PPO, "CartPole-v1"),
    "ppo_continuous_action": Agent(PPOContinuous, "Pendulum-v1"),
    "ppo_lstm": Agent(PPORecurrent, "CartPole-v1"),
    "dqn": Agent(DQN, "CartPole-v1"),
    "td3_continuous_action": Agent(TD3, "Pendulum-v1", True),
    "sac_continuous_action": Agent(SAC, "Pendulum-v1"),
}


def save_agent(name: str, path: Path) -> nn.Module:
    """Save a new agent as its script does, and return it."""
    agent = AGENTS[name]
    module = agent.make()
    saved = module.state_dict()
    if agent.with_critics:
        saved = saved, _net(MEASUREMENTS + TORQUES, 8, 1).state_dict()
    torch.save(saved, path)
    return module


def load_agent(name: str, path: Path) -> nn.Module:
    """Return the agent that was saved, as its script loads it."""
    saved = torch.load(path, weights_only=True)
    module = AGENTS[name].make()
    module.load_state_dict(saved[0] if AGENTS[name].with_critics else saved)
    return module
