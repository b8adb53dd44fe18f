"""A PPO policy as data."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pgpelib.networks import ACTIVATIONS


@dataclasses.dataclass(frozen=True)
class PPOPolicyData:
    """A PPO policy: trunk, LSTM (or none), actor and critic, acting by chance.

    Parameters
    ----------
    weights
        Arrays by PyTorch's names, float32.
    trunk_sizes, head_sizes
        Sizes of hidden layers before the LSTM, and of actor and critic.
    lstm_size, lstm_layers
        Cells and layers of the LSTM; 0 and 0 for a feed-forward policy.
    activation
        "tanh" or "relu".
    env_name, env_config
        "posggym:" and the id of the environment, and its keyword arguments.
    notes
        Plain data: policy_id, update, global_step, algorithm and later the reference.

    Raises
    ------
    ValueError
        If weights are missing, unexpected, of a wrong shape, or not finite.
    """

    weights: dict[str, np.ndarray]
    trunk_sizes: list[int]
    head_sizes: list[int]
    lstm_size: int
    lstm_layers: int
    activation: str
    env_name: str
    env_config: dict[str, Any]
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {self.activation!r}")
        expected = self._shapes()
        missing = sorted(set(expected) - set(self.weights))
        unexpected = sorted(set(self.weights) - set(expected))
        if missing or unexpected:
            raise ValueError(
                "the weights are not those of trunk, LSTM, actor and critic: "
                f"missing {', '.join(missing) or 'none'}; "
                f"unexpected {', '.join(unexpected) or 'none'}"
            )
        for name, shape in expected.items():
            if self.weights[name].shape != shape:
                raise ValueError(
                    f"{name} has shape {self.weights[name].shape}, not {shape}"
                )
            if not np.isfinite(self.weights[name]).all():
                raise ValueError(f"{name} has values that are NaN or infinite")

    @property
    def observation_size(self) -> int:
        """Length of the observation that the network sees."""
        first = "trunk.0.weight" if self.trunk_sizes else self._after_trunk
        return int(self._array(first).shape[-1])

    @property
    def output_size(self) -> int:
        """Outputs of the actor: logits, or means and log standard deviations."""
        return len(self._array(f"actor.{2 * len(self.head_sizes)}.bias"))

    @property
    def _after_trunk(self) -> str:
        return "lstm.weight_ih_l0" if self.lstm_layers else "actor.0.weight"

    def _array(self, name: str) -> np.ndarray:
        try:
            array = self.weights[name]
        except KeyError:
            raise ValueError(f"the weights have no {name}") from None
        if array.ndim == 0:
            raise ValueError(f"{name} has shape ()")
        return array

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all weights that this architecture has."""
        shapes: dict[str, tuple[int, ...]] = {}
        size = self.observation_size
        for number, out in enumerate(self.trunk_sizes):
            shapes |= _linear_shapes(f"trunk.{2 * number}", size, out)
            size = out
        rows = 4 * self.lstm_size
        for layer in range(self.lstm_layers):
            shapes[f"lstm.weight_ih_l{layer}"] = (rows, size)
            shapes[f"lstm.weight_hh_l{layer}"] = (rows, self.lstm_size)
            shapes[f"lstm.bias_ih_l{layer}"] = (rows,)
            shapes[f"lstm.bias_hh_l{layer}"] = (rows,)
            size = self.lstm_size
        for head, outputs in (("actor", self.output_size), ("critic", 1)):
            inputs = size
            for number, out in enumerate([*self.head_sizes, outputs]):
                shapes |= _linear_shapes(f"{head}.{2 * number}", inputs, out)
                inputs = out
        return shapes


def _linear_shapes(name: str, inputs: int, out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, inputs), f"{name}.bias": (out,)}
