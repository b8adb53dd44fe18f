"""A PPO policy as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.networks import ACTIVATIONS
from pgpelib.utils.plain_data import is_integer


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
    metadata
        What else is known: algorithm, policy_id, update, timesteps.

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
    metadata: PolicyMetadata = dataclasses.field(default_factory=PolicyMetadata)

    def __post_init__(self) -> None:
        if self.activation not in list(ACTIVATIONS):
            raise ValueError(f"unknown activation {self.activation!r}")
        check_weights(
            self.weights,
            self.trunk_sizes,
            self.lstm_size,
            self.lstm_layers,
            self.head_sizes,
        )

    @property
    def observation_size(self) -> int:
        """Length of the observation that the network sees."""
        return int(self.weights[_first(self.trunk_sizes, self.lstm_layers)].shape[-1])

    @property
    def output_size(self) -> int:
        """Outputs of the actor: logits, or means and log standard deviations."""
        return len(self.weights[f"actor.{2 * len(self.head_sizes)}.bias"])


def check_weights(
    weights: Mapping[str, np.ndarray],
    trunk_sizes: Any,
    lstm_size: Any,
    lstm_layers: Any,
    head_sizes: Any,
) -> None:
    """Refuse weights that are not exactly those of an architecture.

    Parameters
    ----------
    weights
        Arrays by PyTorch's names.
    trunk_sizes, lstm_size, lstm_layers, head_sizes
        See `PPOPolicyData`; as a file gives them, of any type.

    Raises
    ------
    ValueError
        If a size is not a size, or weights are missing, unexpected, of a wrong shape,
        not floating-point numbers, or not finite.
    """
    for name, sizes in (("trunk_sizes", trunk_sizes), ("head_sizes", head_sizes)):
        if not isinstance(sizes, list) or not all(is_size(size) for size in sizes):
            raise ValueError(f"{name} is not a list of sizes")
    for name, size in (("lstm_size", lstm_size), ("lstm_layers", lstm_layers)):
        if not is_size(size) and not (is_integer(size) and size == 0):
            raise ValueError(f"{name} is not a size")
    if (lstm_size == 0) != (lstm_layers == 0):
        raise ValueError("lstm_size and lstm_layers contradict each other")
    # What a few digits announce is not written out before there is as much.
    if len(trunk_sizes) + lstm_layers + len(head_sizes) > len(weights):
        raise ValueError("the network has more layers than weights")
    for name, array in weights.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise ValueError(f"{name} is not an array of floating-point numbers")
        if array.size == 0:
            raise ValueError(f"{name} has shape {array.shape}")
    expected = _shapes(weights, trunk_sizes, lstm_size, lstm_layers, head_sizes)
    missing = sorted(set(expected) - set(weights))
    unexpected = sorted(set(weights) - set(expected))
    if missing or unexpected:
        raise ValueError(
            "the weights are not those of trunk, LSTM, actor and critic: "
            f"missing {_some(missing)}; unexpected {_some(unexpected)}"
        )
    for name, shape in expected.items():
        if weights[name].shape != shape:
            raise ValueError(f"{name} has shape {weights[name].shape}, not {shape}")
        if not np.isfinite(weights[name]).all():
            raise ValueError(f"{name} has values that are NaN or infinite")


def is_size(value: Any) -> bool:
    """Return whether a value is a number of cells or units."""
    return is_integer(value) and value > 0


def _some(names: list[str]) -> str:
    """Return the first few names for a message."""
    shown = ", ".join(name if name.isprintable() else repr(name) for name in names[:4])
    more = len(names) - 4
    return f"{shown or 'none'}{f' and {more} more' if more > 0 else ''}"


def _first(trunk_sizes: list[int], lstm_layers: int) -> str:
    if trunk_sizes:
        return "trunk.0.weight"
    return "lstm.weight_ih_l0" if lstm_layers else "actor.0.weight"


def _shapes(
    weights: Mapping[str, np.ndarray],
    trunk_sizes: list[int],
    lstm_size: int,
    lstm_layers: int,
    head_sizes: list[int],
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all weights that an architecture has."""
    last = f"actor.{2 * len(head_sizes)}.bias"
    for name in (_first(trunk_sizes, lstm_layers), last):
        if name not in weights:
            raise ValueError(f"the weights have no {name}")
        if weights[name].ndim == 0:
            raise ValueError(f"{name} has shape ()")
    shapes: dict[str, tuple[int, ...]] = {}
    size = weights[_first(trunk_sizes, lstm_layers)].shape[-1]
    for number, out in enumerate(trunk_sizes):
        shapes |= _linear_shapes(f"trunk.{2 * number}", size, out)
        size = out
    rows = 4 * lstm_size
    for layer in range(lstm_layers):
        shapes[f"lstm.weight_ih_l{layer}"] = (rows, size)
        shapes[f"lstm.weight_hh_l{layer}"] = (rows, lstm_size)
        shapes[f"lstm.bias_ih_l{layer}"] = (rows,)
        shapes[f"lstm.bias_hh_l{layer}"] = (rows,)
        size = lstm_size
    for head, outputs in (("actor", len(weights[last])), ("critic", 1)):
        inputs = size
        for number, out in enumerate([*head_sizes, outputs]):
            shapes |= _linear_shapes(f"{head}.{2 * number}", inputs, out)
            inputs = out
    return shapes


def _linear_shapes(name: str, inputs: int, out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (out, inputs), f"{name}.bias": (out,)}
