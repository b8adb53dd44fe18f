"""An LSTM in front of the last layer, which changes little at first."""

from __future__ import annotations

import numpy as np
import pytest

from pgpelib.policies.growth import can_grow, with_memory
from pgpelib.policies.networks import Layer, Network
from pgpelib.policies.policy import Architecture

SMALL = Architecture(5, 3, (6,))
LARGE = Architecture(5, 3, (6,), lstm_size=10)


def random_layers(gain: float) -> list[Layer]:
    rng = np.random.default_rng(0)
    parameters = gain * rng.normal(size=SMALL.num_parameters)
    return SMALL.layers(parameters)


def outputs(layers: list[Layer]) -> np.ndarray:
    """Outputs of a network in an episode of 30 steps."""
    network = Network(layers, "tanh")
    rng = np.random.default_rng(1)
    return np.array([network.forward(rng.normal(size=5)) for _ in range(30)])


def grown(layers: list[Layer], seed: int = 0) -> list[Layer]:
    return with_memory(layers, LARGE.lstm_size, np.random.default_rng(seed))


def test_saturated_units_pass_unchanged():
    layers = random_layers(100.0)
    error = np.abs(outputs(grown(layers)) - outputs(layers))
    # Closed gates let 2 % of the last step's value pass, and are where it changes sign.
    assert (error <= 0.05 * np.abs(layers[-1][0]).sum(axis=1)).all()


def test_other_units_are_distorted_by_a_fifth_at_most():
    layers = random_layers(1.0)
    error = np.abs(outputs(grown(layers)) - outputs(layers))
    assert (error <= 0.2 * np.abs(layers[-1][0]).sum(axis=1)).all()


def test_the_added_cells_remember_but_have_no_say_at_first():
    layers = random_layers(1.0)
    one, other = grown(layers, seed=0), grown(layers, seed=1)
    assert np.array_equal(outputs(one), outputs(other))
    one[-1][0][:, SMALL.hidden[-1] :] = 1.0
    other[-1][0][:, SMALL.hidden[-1] :] = 1.0
    assert not np.array_equal(outputs(one), outputs(other))


def test_the_layers_have_the_shapes_of_the_larger_network():
    shapes = [
        tuple(array.shape for array in layer) for layer in grown(random_layers(1.0))
    ]
    assert shapes == LARGE.shapes


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        (SMALL, SMALL),
        (LARGE, LARGE),
        (SMALL, Architecture(5, 3, (6,), lstm_size=6)),
        (SMALL, Architecture(5, 3, (7,), lstm_size=10)),
        (SMALL, Architecture(5, 4, (6,), lstm_size=10)),
        (SMALL, Architecture(5, 3, (6,), lstm_size=10, head=(4,))),
        (Architecture(5, 3), Architecture(5, 3, lstm_size=10)),
        (
            Architecture(5, 3, (6,), "relu"),
            Architecture(5, 3, (6,), "relu", lstm_size=10),
        ),
    ],
)
def test_what_does_not_fit_does_not_grow(smaller, larger):
    assert can_grow(SMALL, LARGE)
    assert not can_grow(smaller, larger)
