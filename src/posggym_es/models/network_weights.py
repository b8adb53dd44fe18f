"""Checks of the weights of POSGGym's network: trunk, LSTM, actor and critic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pgpelib.utils.plain_data import is_integer


def check_weights(
    weights: Mapping[str, np.ndarray],
    trunk_sizes: Any,
    lstm_size: Any,
    lstm_layers: Any,
    head_sizes: Any,
) -> None:
    """Check that weights match an architecture exactly.

    Parameters
    ----------
    weights
        Arrays, keyed by PyTorch's names.
    trunk_sizes, lstm_size, lstm_layers, head_sizes
        Values from a file, of any type: sizes of the hidden layers before the LSTM, its
        number of cells and layers (both 0 without an LSTM), and sizes of the hidden
        layers of actor and critic.

    Raises
    ------
    ValueError
        If a size is invalid, or weights are missing, unexpected, of the wrong shape,
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
    # Checked first, so that a large number in a small file does not allocate memory.
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
            "the weights do not match trunk, LSTM, actor and critic: "
            f"missing {_some(missing)}; unexpected {_some(unexpected)}"
        )
    for name, shape in expected.items():
        if weights[name].shape != shape:
            raise ValueError(f"{name} has shape {weights[name].shape}, not {shape}")
        if not np.isfinite(weights[name]).all():
            raise ValueError(f"{name} has NaN or infinite values")


def is_size(value: Any) -> bool:
    """Return whether a value is a positive integer."""
    return is_integer(value) and value > 0


def _some(names: list[str]) -> str:
    """Format the first few names for a message."""
    first = ", ".join(name if name.isprintable() else repr(name) for name in names[:4])
    more = len(names) - 4
    return f"{first or 'none'}{f' and {more} more' if more > 0 else ''}"


def first_weight(trunk_sizes: list[int], lstm_layers: int) -> str:
    """Return the name of the weight that the observation is multiplied by."""
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
    """Return the shapes of all weights of an architecture."""
    last = f"actor.{2 * len(head_sizes)}.bias"
    for name in (first_weight(trunk_sizes, lstm_layers), last):
        if name not in weights:
            raise ValueError(f"the weights have no {name}")
        if weights[name].ndim == 0:
            raise ValueError(f"{name} has shape ()")
    shapes: dict[str, tuple[int, ...]] = {}
    size = weights[first_weight(trunk_sizes, lstm_layers)].shape[-1]
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
