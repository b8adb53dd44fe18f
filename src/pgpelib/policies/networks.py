"""Networks: layers, and forward passes of many networks at a time, in float64.

A network is a list of layers. A feed-forward network has linear layers with an
activation in between; a recurrent one has LSTMs between its trunk and its head, the
architecture of POSGGym's own policies.
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
        Shape (4n,). PyTorch's second bias adds nothing, so it is not evolved.
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
    """Put `(x - mean) / stdev` into the first layer, in float64.

    `W ((x - m) / s) + b` equals `(W / s) x + (b - (W / s) m)`, so a normalised policy
    costs no more than a plain one.
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
    """The forward pass of layers, whose arrays may be stacked along a first axis."""

    def __init__(self, layers: Sequence[Layer], activation: str, *lanes: int) -> None:
        self._layers = list(layers)
        self._last = len(layers) - 1
        self._activation = ACTIVATIONS[activation]
        # Output and state of each LSTM, shape (..., cells) each, by the layer's number.
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
        # The sigmoid by tanh, which cannot overflow; its scaling is exact.
        opened = 0.5 * np.tanh(0.5 * gates) + 0.5
        candidate = np.tanh(gates[..., 2 * n : 3 * n])
        state = opened[..., n : 2 * n] * state + opened[..., :n] * candidate
        output = opened[..., 3 * n :] * np.tanh(state)
        self._memory[number] = output, state
        return output


class Network(_Forward):
    """Forward pass of one policy, one observation at a time.

    Parameters
    ----------
    layers
        Layers with the observation normalisation folded in.
    activation
        Name of the activation after every linear layer but the last.
    """

    def __init__(self, layers: Sequence[Layer], activation: str) -> None:
        super().__init__(layers, activation)
        self.layers = layers
        self.activation = activation

    def start(self) -> Network:
        """Return the network for a new episode of one agent.

        Agents that share a policy each need one, because an LSTM keeps a state.
        """
        return type(self)(self.layers, self.activation)

    def __call__(self, observation: Array) -> Vector:
        """Return the outputs, shape (output_size,), of the next observation (d,)."""
        return self.forward(observation)


class NetworkBatch(_Forward):
    """Forward passes of several networks of one architecture at a time.

    Each network has its own lane, with its own weights and, with an LSTM, its own
    state. A lane gives the outputs of a `Network`, to the last bit: NumPy multiplies a
    stack of matrices one by one.

    Parameters
    ----------
    layers
        Layers of one of the networks, for their shapes.
    activation
        Name of the activation after every linear layer but the last.
    lanes
        Networks, n.
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
        """Put a network, with the normalisation folded in, into a lane."""
        for stack, layer in zip(self._layers, layers, strict=True):
            for arrays, array in zip(stack, layer, strict=True):
                arrays[lane] = array
        for memory in self._memory.values():
            for array in memory:
                array[lane] = 0.0
