"""POSGGym's network in float64, with bounds on its results in float32.

The error of a float32 sum of k terms, in any order and with or without fused
multiply-add, is at most `gamma(k)` times the sum of the terms' magnitudes (Higham,
Accuracy and Stability of Numerical Algorithms, section 3.1). Interval arithmetic
propagates these errors through the layers; activations are monotonic, so they map the
ends of an interval to those of the next one. The bounds hold on every processor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from posggym.agents.torch_policy import PPOLSTMModel

from pgpelib.policies.networks import ACTIVATIONS, Vector

# Half the distance from 1 to the next float32.
UNIT = 2.0**-24
# Error bound of tanh and sigmoid in PyTorch and oneDNN, a few units in the last place.
FUNCTION_ERROR = 16 * UNIT
# Smaller numbers may be flushed to zero.
TINY = 2.0**-126

# Output and cell state of each LSTM layer.
State = list[tuple[Vector, Vector]]


class Bounded(NamedTuple):
    """A float64 value, and bounds on its float32 computations.

    Parameters
    ----------
    value, low, high
        Shape (n,) each.
    """

    value: Vector
    low: Vector
    high: Vector

    @classmethod
    def around(cls, value: Vector, error: Vector | float = 0.0) -> Bounded:
        """Return a value with an error bound, which is at least 0."""
        return cls(value, value - error, value + error)

    @property
    def error(self) -> Vector:
        """Maximum error of a computation."""
        return np.maximum(self.high - self.value, self.value - self.low)

    @property
    def magnitude(self) -> Vector:
        """Maximum absolute value within the bounds."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def widened(self, relative: float) -> Bounded:
        """Return the bounds after a rounding with a relative error."""
        return Bounded(
            self.value,
            self.low - relative * np.abs(self.low) - TINY,
            self.high + relative * np.abs(self.high) + TINY,
        )

    def through(self, function: Callable[[Vector], Vector]) -> Bounded:
        """Return the result of an increasing function."""
        return Bounded(*map(function, self)).widened(FUNCTION_ERROR)

    def times(self, other: Bounded) -> Bounded:
        """Return the product."""
        ends = [x * y for x in self[1:] for y in other[1:]]
        low, high = np.min(ends, axis=0), np.max(ends, axis=0)
        return Bounded(self.value * other.value, low, high).widened(UNIT)

    def plus(self, other: Bounded) -> Bounded:
        """Return the sum."""
        return Bounded(
            self.value + other.value, self.low + other.low, self.high + other.high
        ).widened(UNIT)


def gamma(terms: Vector) -> Vector:
    """Return the relative error of sums of so many products, in float32."""
    return terms * UNIT / (1 - terms * UNIT)


class _Affine:
    """A linear layer, or the gates of an LSTM, of one or two inputs."""

    def __init__(self, weights: Sequence[Vector], biases: Sequence[Vector]) -> None:
        self._weights = [
            (weight, np.maximum(weight, 0.0), np.minimum(weight, 0.0))
            for weight in weights
        ]
        self._bias = np.sum(biases, axis=0)
        self._bias_magnitude = np.sum(np.abs(biases), axis=0)
        # Zeros add no rounding. A product and a sum each, and one for each bias.
        terms = sum(np.count_nonzero(weight, axis=1) for weight in weights)
        self._gamma = gamma(np.asarray(terms + 1 + len(biases), np.float64))

    def __call__(self, *inputs: Bounded) -> Bounded:
        value, low, high = self._bias, self._bias, self._bias
        size = self._bias_magnitude
        for weights, x in zip(self._weights, inputs, strict=True):
            weight, positive, negative = weights
            value = value + weight @ x.value
            low = low + positive @ x.low + negative @ x.high
            high = high + positive @ x.high + negative @ x.low
            size = size + positive @ x.magnitude - negative @ x.magnitude
        error = self._gamma * size + TINY
        return Bounded(value, low - error, high + error)


def _sigmoid(x: Vector) -> Vector:
    # By tanh, which cannot overflow.
    return np.asarray(0.5 * np.tanh(0.5 * x) + 0.5)


class Float64Model:
    """A network that POSGGym has loaded, evaluated in float64.

    Parameters
    ----------
    model
        POSGGym's network, without previous actions and rewards among its inputs.
    """

    def __init__(self, model: PPOLSTMModel) -> None:
        weights = {
            name: tensor.numpy().astype(np.float64)
            for name, tensor in model.state_dict().items()
        }

        def linear(name: str) -> _Affine:
            return _Affine([weights[f"{name}.weight"]], [weights[f"{name}.bias"]])

        def layers(name: str) -> list[_Affine]:
            count = sum(key.startswith(name) for key in weights) // 2
            return [linear(f"{name}{2 * number}") for number in range(count)]

        self._trunk, self._actor = layers("trunk."), layers("actor.")
        self._lstm = [
            _Affine(
                [weights[f"lstm.weight_ih_l{i}"], weights[f"lstm.weight_hh_l{i}"]],
                [weights[f"lstm.bias_ih_l{i}"], weights[f"lstm.bias_hh_l{i}"]],
            )
            for i in range(model.lstm.num_layers)
        ]
        self._cells = model.lstm.hidden_size
        relu = any(isinstance(part, torch.nn.ReLU) for part in model.modules())
        self._activation = ACTIVATIONS["relu" if relu else "tanh"]

    def start(self) -> State:
        """Return the state at the beginning of an episode."""
        return [(np.zeros(self._cells), np.zeros(self._cells)) for _ in self._lstm]

    def step(self, observation: Vector, state: State) -> tuple[Bounded, State]:
        """Return the actor's outputs for the next observation, and the next state.

        Parameters
        ----------
        observation
            Shape (d,), as the observation processor gives it.
        state
            What `start` or the last step returned, or the float32 network's own. The
            bounds are those of one step from there.
        """
        observation = np.asarray(observation, np.float64)
        rounded = observation.astype(np.float32).astype(np.float64)
        x = Bounded.around(observation, np.abs(observation - rounded))
        for layer in self._trunk:
            x = layer(x).through(self._activation)
        following = []
        for gates, (output, cell) in zip(self._lstm, state, strict=True):
            x, cell = self._lstm_step(
                gates(x, Bounded.around(output)), Bounded.around(cell)
            )
            following.append((x.value, cell))
        *hidden, last = self._actor
        for layer in hidden:
            x = layer(x).through(self._activation)
        return last(x), following

    @staticmethod
    def _lstm_step(gates: Bounded, cell: Bounded) -> tuple[Bounded, Vector]:
        entry, forget, candidate, exit_ = (
            Bounded(*parts)
            for parts in zip(*(np.split(array, 4) for array in gates), strict=True)
        )
        kept = forget.through(_sigmoid).times(cell)
        cell = kept.plus(entry.through(_sigmoid).times(candidate.through(np.tanh)))
        return exit_.through(_sigmoid).times(cell.through(np.tanh)), cell.value
