"""Network layers, and forward passes of one or many networks in float64.

A network is a list of layers. A feed-forward network has linear layers with an
activation in between; a recurrent network has LSTM layers between trunk and head, like
POSGGym's own policies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Array = npt.NDArray[np.floating]
# Weight (out, in) and bias (out,) of a linear layer.
Linear = tuple[Array, Array]


class LSTM(NamedTuple):
    """Weights of an LSTM layer of n cells, in PyTorch's order of the gates.

    Parameters
    ----------
    weight_ih, weight_hh
        Shape (4n, inputs) and (4n, n): input gate, forget gate, cell candidate and
        output gate, n rows each.
    bias
        Shape (4n,). PyTorch's second bias would be redundant, so there is only one.
    """

    weight_ih: Array
    weight_hh: Array
    bias: Array


Layer = Linear | LSTM


def relu(x: Vector) -> Vector:
    """Return the positive part of x."""
    return np.maximum(x, 0.0)


ACTIVATIONS: dict[str, Callable[[Vector], Vector]] = {"tanh": np.tanh, "relu": relu}


def fold_normalization(
    layers: Sequence[Layer], mean: Vector | None, stdev: Vector | None
) -> list[Layer]:
    """Fold `(x - mean) / stdev` into the first layer, and convert layers to float64.

    `W ((x - m) / s) + b` equals `(W / s) x + (b - (W / s) m)`, so the normalisation is
    free in forward passes.

    Parameters
    ----------
    layers
        Layers before folding.
    mean, stdev
        Shape (d,); both None for no normalisation.
    """
    folded = [
        _map(layer, lambda array: np.asarray(array, np.float64)) for layer in layers
    ]
    if mean is not None and stdev is not None:
        first = folded[0]
        weight = first[0] / stdev
        bias = first[-1] - weight @ mean
        folded[0] = (
            first._replace(weight_ih=weight, bias=bias)
            if isinstance(first, LSTM)
            else (weight, bias)
        )
    return folded


def _map(layer: Layer, function: Callable[[Array], Array]) -> Layer:
    if isinstance(layer, LSTM):
        return LSTM(*map(function, layer))
    return function(layer[0]), function(layer[1])


class _Forward:
    """Forward pass through layers, whose arrays may be stacked along a first axis."""

    def __init__(self, layers: Sequence[Layer], activation: str, *lanes: int) -> None:
        self._layers = list(layers)
        self._last = len(layers) - 1
        self._activation = ACTIVATIONS[activation]
        # Output and state of each LSTM layer, of shape (..., cells), by layer index.
        self._memory: dict[int, tuple[Vector, Vector]] = {}
        for number, layer in enumerate(layers):
            if isinstance(layer, LSTM):
                shape = (*lanes, layer.weight_hh.shape[-1])
                self._memory[number] = np.zeros(shape), np.zeros(shape)

    def forward(self, x: Array) -> Vector:
        """Return the outputs (..., output_size) of the next observations (..., d)."""
        for number, layer in enumerate(self._layers):
            if isinstance(layer, LSTM):
                x = self._lstm(number, layer, x)
                continue
            x = self.multiply(layer[0], x) + layer[1]
            if number < self._last:
                x = self._activation(x)
        return x

    @staticmethod
    def multiply(weight: Array, x: Array) -> Vector:
        """Return `weight @ x`."""
        return weight @ x

    def _lstm(self, number: int, layer: LSTM, x: Array) -> Vector:
        output, state = self._memory[number]
        gates = (
            self.multiply(layer.weight_ih, x)
            + self.multiply(layer.weight_hh, output)
            + layer.bias
        )
        n = output.shape[-1]
        # The sigmoid in terms of tanh, which cannot overflow; the scaling is exact.
        opened = 0.5 * np.tanh(0.5 * gates) + 0.5
        candidate = np.tanh(gates[..., 2 * n : 3 * n])
        state = opened[..., n : 2 * n] * state + opened[..., :n] * candidate
        output = opened[..., 3 * n :] * np.tanh(state)
        self._memory[number] = output, state
        return output


class Network(_Forward):
    """The network of one policy, applied to one observation at a time.

    Parameters
    ----------
    layers
        Layers with the observation normalisation folded in.
    activation
        Name of the activation after every linear layer except the last.
    """

    def __init__(self, layers: Sequence[Layer], activation: str) -> None:
        super().__init__(layers, activation)
        self.layers = layers
        self.activation = activation

    def start(self) -> Network:
        """Return a copy for a new episode of one agent, with a zero LSTM state.

        Agents that share a policy need one copy each.
        """
        return type(self)(self.layers, self.activation)

    def __call__(self, observation: Array) -> Vector:
        """Return the outputs (output_size,) for the next observation (d,)."""
        return self.forward(observation)


class NetworkBatch(_Forward):
    """Several networks of the same architecture, with a common forward pass.

    Each network has its own lane, with its own weights and LSTM state. The outputs of a
    lane are bit-identical to those of a `Network`, because NumPy multiplies a stack of
    matrices one by one.

    Parameters
    ----------
    layers
        Layers of any of the networks, for their shapes.
    activation
        Name of the activation after every linear layer except the last.
    lanes
        Number of networks.
    """

    def __init__(self, layers: Sequence[Layer], activation: str, lanes: int) -> None:
        stacks = [
            _map(layer, lambda array: np.zeros((lanes, *array.shape)))
            for layer in layers
        ]
        super().__init__(stacks, activation, lanes)

    @staticmethod
    def multiply(weight: Array, x: Array) -> Vector:
        """Return the product of each lane's matrix and vector."""
        return np.matmul(weight, x[:, :, None])[:, :, 0]

    def load(self, lane: int, layers: Sequence[Layer]) -> None:
        """Load a network's folded layers into a lane, and reset the lane's state."""
        for stack, layer in zip(self._layers, layers, strict=True):
            for arrays, array in zip(stack, layer, strict=True):
                arrays[lane] = array
        for memory in self._memory.values():
            for array in memory:
                array[lane] = 0.0
