"""Policies: their architecture, their actions, and saved policies."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import Self

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.networks import (
    ACTIVATIONS,
    LSTM,
    Array,
    Layer,
    Network,
    Vector,
    fold_normalization,
)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A linear policy, a multi-layer perceptron, or trunk, LSTM and head.

    Parameters
    ----------
    observation_size
        Length of the (flat) observation.
    output_size
        Dimensions of a Box action, or number of discrete actions.
    hidden
        Sizes of the hidden layers, or of the trunk's layers with an LSTM; may be empty.
    activation
        "tanh" or "relu", after every hidden layer.
    lstm_size
        Number of LSTM cells; 0 for a feed-forward policy.
    head
        Sizes of the hidden layers after the LSTM.
    """

    observation_size: int
    output_size: int
    hidden: tuple[int, ...] = ()
    activation: str = "tanh"
    lstm_size: int = 0
    head: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {self.activation!r}; choose tanh or relu"
            )
        if self.head and not self.lstm_size:
            raise ValueError("head needs an LSTM; set lstm_size, or use hidden")

    @property
    def shapes(self) -> list[tuple[tuple[int, ...], ...]]:
        """Shapes of the arrays of each layer, first layer first."""
        trunk = (self.observation_size, *self.hidden)
        if not self.lstm_size:
            return _linear_shapes((*trunk, self.output_size))
        cells = self.lstm_size
        lstm = ((4 * cells, trunk[-1]), (4 * cells, cells), (4 * cells,))
        return [
            *_linear_shapes(trunk),
            lstm,
            *_linear_shapes((cells, *self.head, self.output_size)),
        ]

    @property
    def num_parameters(self) -> int:
        """Length of the parameter vector."""
        return sum(math.prod(shape) for layer in self.shapes for shape in layer)

    def layers(self, parameters: Array) -> list[Layer]:
        """Split a parameter vector of shape (n,) into layers.

        The order is that of PyTorch's `parameters_to_vector`: for each layer the
        weights row by row, then the bias.
        """
        layers: list[Layer] = []
        start = 0
        for shapes in self.shapes:
            arrays = []
            for shape in shapes:
                stop = start + math.prod(shape)
                arrays.append(parameters[start:stop].reshape(shape))
                start = stop
            layers.append(LSTM(*arrays) if len(arrays) == 3 else (arrays[0], arrays[1]))
        return layers

    @staticmethod
    def parameters(layers: Sequence[Layer]) -> Vector:
        """Return the parameter vector of layers, float64; the inverse of `layers`."""
        arrays = [np.ravel(array) for layer in layers for array in layer]
        return np.concatenate(arrays).astype(np.float64)

    def initial_parameters(self, gain: float, rng: np.random.Generator) -> Vector:
        """Return parameters for a search to start from, shape (n,), float64.

        The hidden layers and the LSTM get normal weights with a standard deviation of
        `gain / sqrt(inputs)`. They are random features then, which the output layer can
        use from the first generation on. The output layer and all biases are 0, but
        for forget gates, which remember with a bias of 1 (Jozefowicz et al., 2015).

        Parameters
        ----------
        gain
            Factor of the weights; 0 for all parameters 0.
        rng
            Draws the weights.
        """
        parameters = np.zeros(self.num_parameters)
        if gain:
            for *weights, bias in self.layers(parameters)[:-1]:
                for matrix in weights:
                    matrix[:] = rng.normal(size=matrix.shape)
                    matrix *= gain / math.sqrt(matrix.shape[1])
                if len(weights) > 1:
                    bias[self.lstm_size : 2 * self.lstm_size] = 1
        return parameters


def _linear_shapes(sizes: tuple[int, ...]) -> list[tuple[tuple[int, ...], ...]]:
    return [((out, size), (out,)) for size, out in itertools.pairwise(sizes)]


@dataclasses.dataclass(frozen=True)
class ActionSpec:
    """How network outputs are converted to actions.

    Parameters
    ----------
    kind
        "box" (outputs are clipped to the bounds), "discrete" (the action of the largest
        output) or "categorical" (drawn from the softmax of the outputs).
    low, high
        Shape (actions,), bounds of a Box in the units of the outputs; may be
        infinite. None for other kinds.
    n
        Number of discrete actions; None for "box".

    Raises
    ------
    ValueError
        If the kind is unknown, or the bounds or `n` are invalid.
    """

    kind: str
    low: Vector | None = None
    high: Vector | None = None
    n: int | None = None

    def __post_init__(self) -> None:
        if self.kind in ("discrete", "categorical"):
            if (
                not isinstance(self.n, int | np.integer)
                or isinstance(self.n, bool)
                or self.n < 1
            ):
                raise ValueError(f"{self.n!r} is not a number of discrete actions")
        elif self.kind == "box":
            low, high = self.low, self.high
            if not isinstance(low, np.ndarray) or not isinstance(high, np.ndarray):
                raise ValueError("the action bounds are not arrays")
            if low.dtype.kind not in "fiu" or high.dtype.kind not in "fiu":
                raise ValueError("the action bounds are not numbers")
            if low.ndim != 1 or low.shape != high.shape:
                raise ValueError(
                    f"action bounds of shapes {low.shape} and {high.shape} do not fit"
                )
            # Comparisons with NaN are false.
            if not (low <= high).all():
                raise ValueError("an action bound is NaN, or the lower above the upper")
        else:
            raise ValueError(f"unknown kind of actions {self.kind!r}")

    @property
    def output_size(self) -> int:
        """Number of network outputs."""
        if self.n is not None:
            return self.n
        assert self.low is not None
        return len(self.low)

    @property
    def is_stochastic(self) -> bool:
        """Whether actions are drawn."""
        return self.kind == "categorical"

    def decode(self, outputs: Vector, rng: np.random.Generator | None = None) -> Any:
        """Return the action for the outputs of a network.

        Parameters
        ----------
        outputs
            Shape (output_size,).
        rng
            Draws the action; required for "categorical".

        Returns
        -------
        ndarray or int
            Clipped outputs, shape (actions,), or the number of a discrete action.
        """
        if self.kind == "discrete":
            return int(np.argmax(outputs))
        if self.kind == "categorical":
            assert rng is not None
            weights = np.exp(outputs - np.max(outputs))
            return int(rng.choice(len(weights), p=weights / weights.sum()))
        assert self.low is not None
        assert self.high is not None
        # The two ufuncs are what np.clip does, without its 5 µs of checks.
        return np.minimum(np.maximum(outputs, self.low), self.high)


@dataclasses.dataclass(frozen=True)
class SavedPolicy:
    """A policy with everything needed to run it, and its provenance.

    Parameters
    ----------
    layers
        Layers without the normalisation: linear layers and at most one LSTM; the last
        layer is linear.
    activation
        "tanh" or "relu".
    obs_mean, obs_stdev
        Observation normalisation, shape (d,), float64; None for no normalisation.
    action
        How network outputs are converted to actions.
    env_name, env_config
        The training environment and its keyword arguments.
    obs_processor, action_processor
        Name and keyword arguments of the POSGGym processors that were between
        environment and network in training.
    metadata
        Further information, such as seed, training config and re-evaluation.

    Raises
    ------
    ValueError
        If the parts do not fit together, or a number is NaN or infinite.
    """

    layers: Sequence[Layer]
    activation: str
    obs_mean: Vector | None
    obs_stdev: Vector | None
    action: ActionSpec
    env_name: str
    env_config: dict[str, Any]
    obs_processor: tuple[str, dict[str, Any]] = ("IdentityProcessor", {})
    action_processor: tuple[str, dict[str, Any]] = ("IdentityProcessor", {})
    metadata: PolicyMetadata = dataclasses.field(default_factory=PolicyMetadata)

    def __post_init__(self) -> None:
        if self.activation not in list(ACTIVATIONS):
            raise ValueError(f"unknown activation {self.activation!r}")
        if not isinstance(self.env_name, str):
            raise ValueError(f"env_name must be a string, not {self.env_name!r}")
        if not self.layers:
            raise ValueError("the policy has no layers")
        arrays = [array for layer in self.layers for array in layer]
        for array in arrays:
            _check_array(array, "a weight")
        size = self.observation_size
        for layer in self.layers:
            size = _check_layer(layer, size)
        if self.num_lstm > 1 or isinstance(self.layers[-1], LSTM):
            raise ValueError(
                "the last layer must be linear, and at most one layer can be an LSTM"
            )
        if size != self.action.output_size:
            raise ValueError(
                f"the network has {size} outputs, but the action space needs "
                f"{self.action.output_size}"
            )
        for norm in (self.obs_mean, self.obs_stdev):
            if norm is not None:
                _check_array(norm, "an observation statistic")
                if norm.shape != (self.observation_size,):
                    raise ValueError(
                        f"observation statistics of shape {norm.shape} do not match "
                        f"the network's {self.observation_size} inputs"
                    )
                arrays.append(norm)
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("the policy has NaN or infinite weights")
        if (self.obs_mean is None) != (self.obs_stdev is None):
            raise ValueError("observation statistics need both mean and stdev")
        if self.obs_stdev is not None and not (self.obs_stdev > 0).all():
            raise ValueError("a standard deviation of observations is not positive")

    @property
    def observation_size(self) -> int:
        """Length of the observation."""
        return int(self.layers[0][0].shape[-1])

    @property
    def num_lstm(self) -> int:
        """Number of LSTM layers: 0 for a feed-forward policy."""
        return sum(isinstance(layer, LSTM) for layer in self.layers)

    @property
    def folded_layers(self) -> list[Layer]:
        """Layers with the observation normalisation folded in, float64."""
        return fold_normalization(self.layers, self.obs_mean, self.obs_stdev)

    @property
    def architecture(self) -> Architecture:
        """Sizes of the layers."""
        lstm = [isinstance(layer, LSTM) for layer in self.layers]
        place = lstm.index(True) if self.num_lstm else len(lstm) - 1
        sizes = [layer[1].shape[-1] for layer in self.layers]
        return Architecture(
            observation_size=self.observation_size,
            output_size=self.action.output_size,
            hidden=tuple(sizes[:place]),
            activation=self.activation,
            lstm_size=sizes[place] if self.num_lstm else 0,
            head=tuple(sizes[place + 1 : -1]),
        )

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that identify what the policy plays.

        They cover the network, the spaces and the role, and not how it was trained.
        """
        numbers = hashlib.sha256()
        for array in itertools.chain(
            *self.layers,
            (self.obs_mean, self.obs_stdev, self.action.low, self.action.high),
        ):
            if array is not None:
                numbers.update(np.ascontiguousarray(array, np.float64).tobytes())
        facts = [
            dataclasses.asdict(self.architecture),
            self.obs_mean is None,
            self.action.kind,
            self.obs_processor,
            self.action_processor,
            self.metadata.role,
            numbers.hexdigest(),
        ]
        text = json.dumps(facts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def located(self, folder: Path) -> Self:
        """Return the policy of a file in a folder, see `PolicyMetadata.located`."""
        return dataclasses.replace(self, metadata=self.metadata.located(folder))

    def network(self) -> Network:
        """Return the network, which maps raw observations to outputs."""
        return Network(self.folded_layers, self.activation)


def _check_array(array: Any, what: str) -> None:
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise ValueError(f"{what} is not an array of floating-point numbers")
    if array.size == 0 or array.ndim == 0:
        raise ValueError(f"{what} has shape {array.shape}")


def _check_layer(layer: Layer, inputs: int) -> int:
    """Check that a layer's arrays fit together, and return its number of outputs."""
    weight, bias = layer[0], layer[-1]
    if weight.ndim != 2 or weight.shape[1] != inputs:
        raise ValueError(
            f"a weight has shape {weight.shape}, but its layer has {inputs} inputs"
        )
    rows = weight.shape[0]
    if bias.shape != (rows,):
        raise ValueError(f"a bias has shape {bias.shape}, not ({rows},)")
    if not isinstance(layer, LSTM):
        return rows
    if rows % 4 or layer.weight_hh.shape != (rows, rows // 4):
        raise ValueError(
            f"an LSTM has weights of shape {weight.shape} and {layer.weight_hh.shape}"
        )
    return rows // 4
