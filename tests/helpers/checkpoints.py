"""Checkpoints as the PPO baselines write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from gymnasium import spaces

REACHING = {"size": 5, "num_goals": 4, "mode": "original", "obs_distance": None}


class ActorCritic(torch.nn.Module):
    """Trunk, LSTM (or none), actor and critic, as the baselines build them."""

    def __init__(self, inputs, outputs, trunk, cells, layers, head) -> None:
        super().__init__()
        self.trunk, size = self._sequential(inputs, trunk)
        if layers:
            self.lstm = torch.nn.LSTM(size, cells, layers)
            size = cells
        self.actor = self._head(size, head, outputs)
        self.critic = self._head(size, head, 1)

    @staticmethod
    def _sequential(size, sizes):
        modules = []
        for out in sizes:
            modules += [torch.nn.Linear(size, out), torch.nn.Tanh()]
            size = out
        return torch.nn.Sequential(*modules), size

    def _head(self, size, sizes, outputs):
        modules, size = self._sequential(size, sizes)
        return torch.nn.Sequential(*modules, torch.nn.Linear(size, outputs))

    def forward(self, observations):
        """Map an episode (steps, d) to the actor's outputs."""
        x = self.trunk(observations)
        if hasattr(self, "lstm"):
            x, _ = self.lstm(x)
        return self.actor(x)


def save_checkpoint(
    folder: Path,
    update: int = 1,
    policy_id: str = "P0",
    inputs: int = 22,
    outputs: int = 5,
    layers: int = 1,
    seed: int = 0,
    change: Callable[[ActorCritic], None] = lambda module: None,
    **config,
) -> ActorCritic:
    """Write a checkpoint for CooperativeReaching-v0 by default."""
    torch.manual_seed(seed)
    module = ActorCritic(inputs, outputs, (8, 6), 7, layers, (5,))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter *= 2
        change(module)
    config = {
        "env_id": "CooperativeReaching-v0",
        "env_kwargs": REACHING,
        "trunk_sizes": [8, 6],
        "head_sizes": [5],
        "use_lstm": layers > 0,
        "lstm_size": 7,
        "lstm_num_layers": layers,
        # Objects that plain weights-only loading refuses.
        "obs_space": spaces.Box(0, 1, (inputs,), dtype=np.int64, seed=1),
        "act_space": spaces.Discrete(outputs, seed=2),
        "learning_rate": np.float64(0.1),
        **config,
    }
    folder.mkdir(exist_ok=True)
    torch.save(
        {
            "model": module.state_dict(),
            "optimizer": {},
            "global_step": 1234,
            "update": update,
            "config": {k: v for k, v in config.items() if v is not ...},
        },
        folder / f"checkpoint_{update}_{policy_id}.pt",
    )
    return module
