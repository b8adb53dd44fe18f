"""Layers in state dicts, by PyTorch's names of their weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from pgpelib.policies.networks import LSTM
from posggym_es.policies.steps import NO_ACTIVATION, Dense, Step

Weights = Mapping[str, np.ndarray]


def linear(weights: Weights, name: str, activation: str = NO_ACTIVATION) -> Dense:
    """Return a linear layer; it may have no bias.

    Raises
    ------
    ValueError
        If there is none, or it is of another kind.
    """
    weight = weights.get(f"{name}.weight")
    if weight is None:
        raise ValueError(f"the weights have no {name}.weight")
    if weight.ndim != 2:
        raise ValueError(
            f"{name}.weight has {weight.ndim} axes, so it is no linear layer; only "
            "linear layers and LSTMs can be expressed"
        )
    bias = weights.get(f"{name}.bias")
    if bias is None:
        bias = np.zeros(len(weight), weight.dtype)
    return Dense(weight, bias, activation)


def lstms(weights: Weights, name: str) -> list[Step]:
    """Return the layers of an LSTM.

    Raises
    ------
    ValueError
        If there is none, or it has a projection or both directions.
    """
    pattern = re.compile(re.escape(name) + r"\.(weight|bias)_(ih|hh)_l(\d+)")
    found = [key for key in weights if key.startswith(f"{name}.")]
    numbers = set()
    for key in found:
        match = pattern.fullmatch(key)
        if match is None:
            raise ValueError(f"{key}: an LSTM of this kind cannot be expressed")
        numbers.add(int(match[3]))
    layers: list[Step] = []
    for number in range(len(numbers)):
        try:
            weight_ih, weight_hh = (weights[f"{name}.weight_{k}_l{number}"] for k in _K)
            biases = [weights[f"{name}.bias_{k}_l{number}"] for k in _K]
        except KeyError as error:
            raise ValueError(f"the weights have no {error.args[0]}") from error
        if len(weight_ih) != 4 * weight_hh.shape[-1]:
            raise ValueError(f"{name} is no LSTM; a GRU cannot be expressed")
        # Added in float64, in which the policy is evaluated.
        bias = biases[0].astype(np.float64) + biases[1]
        layers.append(
            LSTM(weight_ih.astype(np.float64), weight_hh.astype(np.float64), bias)
        )
    if not layers:
        raise ValueError(f"the weights have no {name}.weight_ih_l0")
    return layers


_K = ("ih", "hh")


def is_lstm(weights: Weights, name: str) -> bool:
    """Return whether there is an LSTM or GRU of a name."""
    return f"{name}.weight_ih_l0" in weights


def sequential(weights: Weights, name: str, activation: str) -> list[Step]:
    """Return the linear layers of a `nn.Sequential`, with activations in between.

    Raises
    ------
    ValueError
        If it has other layers with weights, or layers without an activation in between.
    """
    pattern = re.compile(re.escape(name) + r"\.(\d+)\.weight")
    numbers = sorted(
        int(match[1]) for key in weights if (match := pattern.fullmatch(key))
    )
    if numbers != list(range(0, 2 * len(numbers), 2)):
        raise ValueError(
            f"{name} has weights at {', '.join(map(str, numbers))}, not at every other "
            "place: only linear layers with activations in between can be expressed"
        )
    return [linear(weights, f"{name}.{number}", activation) for number in numbers]


def without_last_activation(steps: Sequence[Step]) -> list[Step]:
    """Return layers whose last one has no activation.

    Raises
    ------
    ValueError
        If there are none.
    """
    if not steps or not isinstance(steps[-1], Dense):
        raise ValueError("the network has no linear layers")
    return [*steps[:-1], steps[-1]._replace(activation=NO_ACTIVATION)]


def with_log_stdev(steps: Sequence[Step], log_stdev: np.ndarray) -> list[Step]:
    """Return layers that also give log standard deviations that are always the same.

    Raises
    ------
    ValueError
        If there is not one for each output of the last layer.
    """
    *others, last = steps
    assert isinstance(last, Dense)
    log_stdev = log_stdev.ravel().astype(last.bias.dtype)
    if log_stdev.shape != last.bias.shape:
        raise ValueError(
            f"{len(log_stdev)} log standard deviations do not match {len(last.bias)} "
            "means"
        )
    return [
        *others,
        Dense(
            np.concatenate([last.weight, np.zeros_like(last.weight)]),
            np.concatenate([last.bias, log_stdev]),
        ),
    ]
