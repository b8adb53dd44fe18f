"""Compiled networks compute what the trainer's networks compute."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compiled_network import Compiled
from pgpelib.policies.networks import Network, fold_normalization
from pgpelib.policies.policy import Architecture as TrainerArchitecture
from posggym_compiled.jit import kernel
from posggym_compiled.networks import Architecture, tanh, tanh32

SHAPES = [
    {},
    {"hidden": (32,)},
    {"hidden": (13, 9), "activation": "relu"},
    {"hidden": (7,), "lstm_size": 16},
    {"lstm_size": 5, "head": (11,)},
    {"hidden": (8,), "lstm_size": 3, "head": (4, 6), "activation": "relu"},
]


@kernel
def tanh_of(values):
    for i in range(len(values)):
        values[i] = tanh(values[i])


@kernel
def tanh32_of(values):
    for i in range(len(values)):
        values[i] = tanh32(values[i])


def pair(seed, shape, inputs, outputs, normalised):
    """Return the same network twice, the trainer's first."""
    rng = np.random.default_rng(seed)
    theirs = TrainerArchitecture(inputs, outputs, **shape)
    ours = Architecture(inputs, outputs, **shape)
    assert ours.num_parameters == theirs.num_parameters
    parameters = rng.standard_normal(ours.num_parameters)
    norm = (None, None)
    if normalised:
        norm = rng.standard_normal(inputs), rng.uniform(0.1, 2.0, inputs)
    layers = fold_normalization(theirs.layers(parameters), *norm)
    return Network(layers, theirs.activation), Compiled(ours, parameters, *norm)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(SHAPES),
    st.integers(1, 40),
    st.integers(1, 20),
    st.booleans(),
)
def test_outputs_are_those_of_the_trainer(seed, shape, inputs, outputs, normalised):
    theirs, ours = pair(seed, shape, inputs, outputs, normalised)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        x = rng.standard_normal(inputs)
        np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("normalised", [False, True])
def test_one_hot_observations_give_the_outputs_of_their_vectors(shape, normalised):
    _, ones = pair(0, shape, 30, 5, normalised)
    _, dense = pair(0, shape, 30, 5, normalised)
    rng = np.random.default_rng(1)
    for _ in range(5):
        indices = np.sort(rng.choice(30, 7, replace=False)).astype(np.int32)
        vector = np.zeros(30)
        vector[indices] = 1.0
        assert ones(indices).tobytes() == dense(vector).tobytes()


@settings(deadline=None, max_examples=300)
@given(st.floats(-700, 700) | st.floats(-2, 2) | st.floats(-1e-3, 1e-3))
def test_tanh_is_within_three_units_in_the_last_place(x):
    values = np.full(9, x)
    tanh_of(values)
    expected = np.tanh(np.longdouble(x))
    error = abs(np.longdouble(values[0]) - expected)
    assert error <= 3 * np.spacing(np.float64(abs(expected)))
    # With vectors as without: the last of 9 is computed alone.
    assert (values == values[0]).all()


@settings(deadline=None, max_examples=300)
@given(st.floats(-50, 50, width=32) | st.floats(-1e-3, 1e-3).map(np.float32))
def test_tanh_in_float32_is_within_four_units_in_the_last_place(x):
    values = np.full(9, x, np.float32)
    tanh32_of(values)
    expected = np.tanh(np.float64(values.dtype.type(x)))
    error = abs(np.float64(values[0]) - expected)
    assert error <= 4 * np.spacing(np.float32(abs(expected)))
    assert (values == values[0]).all()


def test_architectures_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="unknown activation 'sigmoid'"):
        Architecture(3, 2, activation="sigmoid")
    with pytest.raises(ValueError, match="head only follows an LSTM"):
        Architecture(3, 2, head=(4,))
