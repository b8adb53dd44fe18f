"""State dicts of CleanRL's scripts, whose layout follows from the names of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.policies.foreign import ARGMAX, CATEGORICAL, GAUSSIAN, SQUASHED
from posggym_es.policies.steps import Step
from posggym_es.sources.building import foreign_policy, metadata_of
from posggym_es.sources.checkpoint_source import CheckpointSource, named_errors
from posggym_es.sources.modules import (
    Weights,
    linear,
    lstms,
    sequential,
    with_log_stdev,
    without_last_activation,
)
from posggym_es.sources.settings import AgentSettings, names_layers, settings_for
from posggym_es.sources.torch_content import named_weights, torch_content

_SUFFIX = ".cleanrl_model"
# Weights that tell the layouts apart.
_SIGNS = {
    "ppo_lstm": ("lstm.weight_ih_l0", "actor.weight"),
    "ppo_continuous_action": ("actor_mean.0.weight", "actor_logstd"),
    "ppo": ("actor.0.weight", "critic.0.weight"),
    "sac_continuous_action": ("fc1.weight", "fc_mean.weight"),
    "td3_continuous_action": ("fc1.weight", "fc_mu.weight"),
    "dqn": ("network.0.weight",),
}


class CleanRLModels(CheckpointSource):
    """Models that CleanRL's scripts save, or state dicts of their agents."""

    name = "cleanrl"
    patterns = (f"*{_SUFFIX}", "*.pt", "*.pth")

    def recognises_file(self, path: Path) -> bool:
        """Return whether a file has the layout of a script, or its suffix."""
        if names_layers(path):
            return False
        if path.suffix == _SUFFIX:
            return True
        if path.suffix not in (".pt", ".pth"):
            return False
        try:
            return _layout(_state_dict(path)) is not None
        except ValueError:
            return False

    def read(self, path: Path, settings: AgentSettings) -> ConvertiblePolicy:
        """Read a model; see `CheckpointSource`."""
        settings = settings_for(path, settings)
        with named_errors(path, "a state dict"):
            model = _state_dict(path)
            layout = _layout(model)
            if layout is None:
                raise ValueError(
                    "it has the layout of no script of CleanRL that can be expressed ("
                    f"{', '.join(_SIGNS)}); describe its layers with source: module"
                )
            weights = named_weights(model)
            steps, outputs_are = _network(layout, weights, settings)
        return foreign_policy(
            path,
            steps,
            outputs_are,
            settings,
            metadata_of(layout.split("_")[0].upper(), path),
            bounds=_bounds(weights),
        )


def _state_dict(path: Path) -> Any:
    """Return the actor's state dict, which DDPG and TD3 save with those of critics."""
    content = torch_content(path)
    return content[0] if isinstance(content, tuple) and content else content


def _layout(model: Any) -> str | None:
    """Return the script that has such weights."""
    if not isinstance(model, dict):
        return None
    for layout, signs in _SIGNS.items():
        if all(sign in model for sign in signs):
            return layout
    return None


def _network(
    layout: str, weights: Weights, settings: AgentSettings
) -> tuple[list[Step], str]:
    tanh, relu = (settings.activation or name for name in ("tanh", "relu"))
    if layout == "ppo":
        return _net(weights, "actor", tanh), CATEGORICAL
    if layout == "ppo_continuous_action":
        steps = _net(weights, "actor_mean", tanh)
        return with_log_stdev(steps, weights["actor_logstd"]), GAUSSIAN
    if layout == "ppo_lstm":
        trunk = sequential(weights, "network", relu)
        return [*trunk, *lstms(weights, "lstm"), linear(weights, "actor")], CATEGORICAL
    if layout == "dqn":
        if "atoms" in weights:
            raise ValueError("it is a C51 network, whose outputs cannot be expressed")
        return _net(weights, "network", relu), ARGMAX
    hidden: list[Step] = [linear(weights, name, relu) for name in ("fc1", "fc2")]
    last = "fc_mean" if layout == "sac_continuous_action" else "fc_mu"
    return [*hidden, linear(weights, last)], SQUASHED


def _net(weights: Weights, name: str, activation: str) -> list[Step]:
    return without_last_activation(sequential(weights, name, activation))


def _bounds(weights: Weights) -> tuple[np.ndarray, np.ndarray] | None:
    if "action_scale" not in weights or "action_bias" not in weights:
        return None
    scale, middle = (
        weights[name].ravel().astype(np.float64)
        for name in ("action_scale", "action_bias")
    )
    return middle - scale, middle + scale
