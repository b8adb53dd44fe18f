"""Policies with an LSTM that begin as a policy without one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from pgpelib.policies.networks import LSTM, Layer
from pgpelib.policies.policy import Architecture

# Biases of the gates of cells that pass a value on: open (0.98), or closed (0.02).
_OPEN, _CLOSED = 4.0, -4.0
# Bias of the forget gates of the other cells, which remember for some eight steps.
_REMEMBER = 2.0
# An open cell outputs 0.98 tanh(tanh(x)). With this factor, that is x at -1, 0 and 1,
# and off by 0.18 at most between.
_RELAY_SCALE = (1 + math.exp(-_OPEN)) / math.tanh(math.tanh(1.0))


def can_grow(smaller: Architecture, larger: Architecture) -> bool:
    """Return whether `with_memory` makes one architecture of the other.

    The smaller one has no LSTM and at least one hidden layer. The larger one has the
    same hidden layers, an LSTM with more cells than the last of them has units, and no
    head. Both are tanh networks.
    """
    return (
        bool(smaller.hidden)
        and not smaller.lstm_size
        and smaller.activation == "tanh"
        and larger.lstm_size > smaller.hidden[-1]
        and larger == dataclasses.replace(smaller, lstm_size=larger.lstm_size)
    )


def with_memory(
    layers: Sequence[Layer], lstm_size: int, rng: np.random.Generator
) -> list[Layer]:
    """Put an LSTM in front of the last layer of a policy, which acts as before.

    The LSTM's first cells pass on what the last hidden layer has computed, but for a
    distortion that is smallest where its units are saturated. The other cells are
    random features of the past. They do not change the outputs at first: their weights
    in the last layer are 0. The idea is that of Net2Net (Chen et al. 2016,
    arXiv 1511.05641): a search need not find again what a smaller network knows.

    Parameters
    ----------
    layers
        Layers of a feed-forward tanh policy, with a hidden layer of k units at least.
    lstm_size
        Number of LSTM cells, n > k.
    rng
        Draws the weights of the cells that remember: normal, with a standard deviation
        of `1 / sqrt(inputs)`.
    """
    *trunk, last = layers
    weights, output_bias = last[0], last[1]
    units = weights.shape[1]
    recurrent = rng.normal(size=(4, lstm_size, lstm_size)) / math.sqrt(lstm_size)
    inputs = rng.normal(size=(4, lstm_size, units)) / math.sqrt(units)
    biases = np.zeros((4, lstm_size))
    relays = slice(0, units)
    recurrent[:, relays] = 0
    inputs[:, relays] = 0
    input_gate, forget_gate, candidate, output_gate = range(4)
    inputs[candidate, relays] = np.eye(units)
    biases[[input_gate, output_gate], relays] = _OPEN
    biases[forget_gate] = _REMEMBER
    biases[forget_gate, relays] = _CLOSED
    lstm = LSTM(
        inputs.reshape(-1, units), recurrent.reshape(-1, lstm_size), biases.ravel()
    )
    output_weights = np.zeros((len(output_bias), lstm_size))
    output_weights[:, relays] = _RELAY_SCALE * weights
    return [*trunk, lstm, (output_weights, output_bias)]
