"""Feed-forward policies: parameter vectors, NumPy forward passes, saved policies."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
# Weight (out, in) and bias (out,) of a linear layer.
Layer = tuple[npt.NDArray[np.floating], npt.NDArray[np.floating]]


def relu(x: Vector) -> Vector:
    """Return the positive part of x."""
    return np.maximum(x, 0.0)


ACTIVATIONS: dict[str, Callable[[Vector], Vector]] = {"tanh": np.tanh, "relu": relu}


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A linear policy or multi-layer perceptron.

    Parameters
    ----------
    observation_size
        Length of the (flat) observation.
    output_size
        Actions of a Box, or number of discrete actions.
    hidden
        Sizes of the hidden layers; empty for a linear policy.
    activation
        "tanh" or "relu", after every hidden layer.
    """

    observation_size: int
    output_size: int
    hidden: tuple[int, ...] = ()
    activation: str = "tanh"

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {self.activation!r}; choose tanh or relu"
            )

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Weight shapes (out, in), first layer first."""
        sizes = (self.observation_size, *self.hidden, self.output_size)
        return [(out, size) for size, out in itertools.pairwise(sizes)]

    @property
    def num_parameters(self) -> int:
        """Length of the parameter vector."""
        return sum(out * size + out for out, size in self.shapes)

    def layers(self, parameters: npt.NDArray[np.floating]) -> list[Layer]:
        """Split a parameter vector (n,) into layers.

        The order is PyTorch's `parameters_to_vector`: per layer the weight by rows,
        then the bias.
        """
        layers: list[Layer] = []
        start = 0
        for out, size in self.shapes:
            weight = parameters[start : start + out * size].reshape(out, size)
            start += out * size
            layers.append((weight, parameters[start : start + out]))
            start += out
        return layers


def fold_normalization(
    layers: Sequence[Layer], mean: Vector | None, stdev: Vector | None
) -> list[Layer]:
    """Put `(x - mean) / stdev` into the first layer, in float64.

    `W ((x - m) / s) + b` equals `(W / s) x + (b - (W / s) m)`, so a normalised policy
    costs no more than a plain one.
    """
    folded: list[Layer] = [
        (np.asarray(w, dtype=np.float64), np.asarray(b, dtype=np.float64))
        for w, b in layers
    ]
    if mean is not None and stdev is not None:
        weight, bias = folded[0]
        weight = weight / stdev
        folded[0] = (weight, bias - weight @ mean)
    return folded


class FeedForward:
    """Forward pass of a policy, one observation at a time, in float64.

    Parameters
    ----------
    layers
        Layers with the observation normalisation folded in.
    activation
        Name of the activation after every layer but the last.
    """

    def __init__(self, layers: Sequence[Layer], activation: str) -> None:
        self._hidden = [(w, b) for w, b in layers[:-1]]
        self._last = layers[-1]
        self._activation = ACTIVATIONS[activation]

    def __call__(self, observation: npt.NDArray[np.floating]) -> Vector:
        """Return the outputs, shape (output_size,), of an observation (d,)."""
        x = observation
        for weight, bias in self._hidden:
            x = self._activation(weight @ x + bias)
        weight, bias = self._last
        return weight @ x + bias


@dataclasses.dataclass(frozen=True)
class ActionSpec:
    """How network outputs become actions.

    Parameters
    ----------
    kind
        "box" (outputs are clipped to the bounds) or "discrete" (argmax).
    low, high
        Shape (actions,), bounds of a Box in the units of the outputs; may be
        infinite. None for "discrete".
    n
        Number of discrete actions; None for "box".
    """

    kind: str
    low: Vector | None = None
    high: Vector | None = None
    n: int | None = None

    @property
    def output_size(self) -> int:
        """Number of network outputs."""
        if self.kind == "discrete":
            assert self.n is not None
            return self.n
        assert self.low is not None
        return len(self.low)

    def decode(self, outputs: Vector) -> Any:
        """Return the action: clipped outputs (actions,) or the index of the largest."""
        if self.kind == "discrete":
            return int(np.argmax(outputs))
        assert self.low is not None
        assert self.high is not None
        # The two ufuncs are what np.clip does, without its 5 µs of checks.
        return np.minimum(np.maximum(outputs, self.low), self.high)


@dataclasses.dataclass(frozen=True)
class SavedPolicy:
    """A policy with all that is needed to run it and to know where it comes from.

    Parameters
    ----------
    layers
        Layers before folding, weight (out, in) and bias (out,).
    activation
        "tanh" or "relu".
    obs_mean, obs_stdev
        Observation normalisation, shape (d,), float64; None without any.
    action
        How outputs become actions.
    env_name, env_config
        The environment trained on and its keyword arguments.
    obs_processor, action_processor
        Name and keyword arguments of the POSGGym processors that stood between
        environment and network in training.
    notes
        Plain data for people and later steps: generation, timesteps, seed, the
        training configuration, the re-evaluation.
    """

    layers: list[Layer]
    activation: str
    obs_mean: Vector | None
    obs_stdev: Vector | None
    action: ActionSpec
    env_name: str
    env_config: dict[str, Any]
    obs_processor: tuple[str, dict[str, Any]] = ("IdentityProcessor", {})
    action_processor: tuple[str, dict[str, Any]] = ("IdentityProcessor", {})
    notes: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"unknown activation {self.activation!r}")
        if not self.layers:
            raise ValueError("the policy has no layers")
        size = self.layers[0][0].shape[-1]
        arrays = []
        for weight, bias in self.layers:
            if weight.ndim != 2 or weight.shape[1] != size:
                raise ValueError(
                    f"a weight of shape {weight.shape} cannot follow {size} inputs"
                )
            size = weight.shape[0]
            if bias.shape != (size,):
                raise ValueError(f"a bias has shape {bias.shape}, not ({size},)")
            arrays += [weight, bias]
        if size != self.action.output_size:
            raise ValueError(
                f"the network has {size} outputs for {self.action.output_size} actions"
            )
        for norm in (self.obs_mean, self.obs_stdev):
            if norm is not None:
                if norm.shape != (self.observation_size,):
                    raise ValueError(
                        f"observation statistics of shape {norm.shape} do not fit "
                        f"{self.observation_size} inputs"
                    )
                arrays.append(norm)
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("the policy has weights that are NaN or infinite")

    @property
    def observation_size(self) -> int:
        """Length of the observation."""
        return int(self.layers[0][0].shape[1])

    @property
    def folded_layers(self) -> list[Layer]:
        """Layers with the observation normalisation folded in, float64."""
        return fold_normalization(self.layers, self.obs_mean, self.obs_stdev)

    def network(self) -> FeedForward:
        """Return the forward pass from a raw observation to the outputs."""
        return FeedForward(self.folded_layers, self.activation)
