"""Networks of other libraries: a sequence of layers with activations of their own.

POSGGym's network has one activation for all layers of trunk, actor and critic, and an
LSTM in between. Networks of other libraries may mix activations, squash their outputs
by tanh, and clip normalised observations. See `posggym_es.policies.lossless` for how
all of these are expressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeGuard

import numpy as np

from pgpelib.policies.networks import ACTIVATIONS, LSTM, Array, Network, Vector

NO_ACTIVATION = "none"
_FUNCTIONS = {**ACTIVATIONS, NO_ACTIVATION: lambda x: x}


class Dense(NamedTuple):
    """A linear layer and the activation after it.

    Parameters
    ----------
    weight, bias
        Shape (out, in) and (out,).
    activation
        "tanh", "relu" or "none".
    """

    weight: Array
    bias: Array
    activation: str = NO_ACTIVATION


Step = Dense | LSTM


class Normalization(NamedTuple):
    """Normalisation of observations: `clip((x - mean) / stdev, -clip, clip)`.

    Parameters
    ----------
    mean, stdev
        Shape (d,), float64.
    clip
        Largest magnitude of a normalised observation; None for no limit.
    """

    mean: Vector
    stdev: Vector
    clip: float | None = None

    def __call__(self, x: Vector) -> Vector:
        """Return normalised observations, shape (d,)."""
        x = (x - self.mean) / self.stdev
        return x if self.clip is None else np.clip(x, -self.clip, self.clip)


class StepNetwork:
    """A network applied to one observation at a time, in float64.

    Parameters
    ----------
    steps
        The layers.
    normalization
        What happens to observations before the first one; None for nothing.
    """

    def __init__(
        self, steps: Sequence[Step], normalization: Normalization | None = None
    ) -> None:
        self._steps = steps
        self._normalization = normalization
        # The state of an LSTM is kept by a network of its own.
        self._recurrent = {
            number: Network([step], "tanh")
            for number, step in enumerate(steps)
            if isinstance(step, LSTM)
        }

    def start(self) -> StepNetwork:
        """Return a copy for a new episode of one agent, with a zero LSTM state."""
        return StepNetwork(self._steps, self._normalization)

    def __call__(self, observation: Array) -> Vector:
        """Return the outputs (n,) for the next observation (d,)."""
        x = np.asarray(observation, np.float64)
        if self._normalization is not None:
            x = self._normalization(x)
        for number, step in enumerate(self._steps):
            if isinstance(step, LSTM):
                x = self._recurrent[number](x)
            else:
                x = _FUNCTIONS[step.activation](step.weight @ x + step.bias)
        return x


def as_float64(step: Step) -> Step:
    """Return a layer with float64 weights."""
    if isinstance(step, LSTM):
        return LSTM(*(np.asarray(array, np.float64) for array in step))
    weight, bias = (np.asarray(array, np.float64) for array in step[:2])
    return Dense(weight, bias, step.activation)


def merged(steps: Sequence[Step]) -> list[Step]:
    """Return float64 layers in which only the last one has no activation.

    A linear layer without activation becomes part of the layer that follows it.
    """
    result: list[Step] = []
    pending: Dense | None = None
    for step in map(as_float64, steps):
        if pending is not None:
            weight, bias = pending[:2]
            if isinstance(step, LSTM):
                step = step._replace(
                    weight_ih=step.weight_ih @ weight,
                    bias=step.bias + step.weight_ih @ bias,
                )
            else:
                step = Dense(
                    step.weight @ weight,
                    step.bias + step.weight @ bias,
                    step.activation,
                )
            pending = None
        if is_linear(step):
            pending = step
        else:
            result.append(step)
    if pending is None:
        size = outputs_of(result[-1])
        pending = Dense(np.eye(size), np.zeros(size))
    return [*result, pending]


def only_means(steps: Sequence[Step]) -> list[Step]:
    """Return layers without the second half of the outputs, log standard deviations.

    The last layer is a linear one.
    """
    *others, last = steps
    assert isinstance(last, Dense)
    half = len(last.bias) // 2
    return [*others, Dense(last.weight[:half], last.bias[:half], last.activation)]


def is_linear(step: Step | None) -> TypeGuard[Dense]:
    """Return whether a layer is a linear one without an activation."""
    return isinstance(step, Dense) and step.activation == NO_ACTIVATION


def inputs_of(step: Step) -> int:
    """Return the number of inputs of a layer."""
    return int(step[0].shape[1])


def outputs_of(step: Step) -> int:
    """Return the number of outputs of a layer."""
    return int(step.weight_hh.shape[1] if isinstance(step, LSTM) else len(step.bias))


def check_steps(steps: Sequence[Step]) -> None:
    """Check that the layers fit together.

    Raises
    ------
    ValueError
        If there is none, an array has a wrong type or shape or is not finite, or an
        activation is unknown.
    """
    if not steps:
        raise ValueError("the network has no layers")
    size = None
    for number, step in enumerate(steps, 1):
        what = f"layer {number}"
        arrays = step if isinstance(step, LSTM) else step[:2]
        for array in arrays:
            if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
                raise ValueError(f"{what}: a weight is not an array of numbers")
            if not np.isfinite(array).all():
                raise ValueError(f"{what} has NaN or infinite weights")
        shape = arrays[0].shape
        if len(shape) != 2 or not all(shape):
            raise ValueError(f"{what} has weights of shape {shape}")
        if isinstance(step, LSTM):
            rows = len(step.weight_ih)
            fits = rows % 4 == 0 and step.weight_hh.shape == (rows, rows // 4)
        else:
            rows, fits = shape[0], True
            if step.activation not in _FUNCTIONS:
                raise ValueError(f"{what}: unknown activation {step.activation!r}")
        if not fits or arrays[-1].shape != (rows,):
            raise ValueError(f"the weights of {what} do not fit together")
        if size not in (None, shape[1]):
            raise ValueError(f"{what} has {shape[1]} inputs, but gets {size} numbers")
        size = outputs_of(step)
