"""Compiled generators draw what NumPy's own draw."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from helper_calls import Helpers
from posggym_compiled.jit import lean_kernel
from posggym_compiled.random import numpy_random

PYTHON = Helpers(numpy_random)

SEEDS = st.one_of(
    st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**64 - 1])
)


def seeded(seed):
    rng = np.zeros(PYTHON.SIZE, np.uint64)
    PYTHON.seed_numpy(rng, np.uint64(seed))
    return rng


@lean_kernel
def normals(rng, out):
    for i in range(len(out)):
        out[i] = numpy_random.normal(rng)


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(1, 2**31 - 1))
def test_draws_are_those_of_numpy(seed, n):
    ours, theirs = seeded(seed), np.random.default_rng(seed)
    for _ in range(100):
        assert PYTHON.random(ours) == theirs.random()
        assert PYTHON.integers(ours, n) == theirs.integers(n)
        assert PYTHON.integers(ours, 5) == theirs.integers(0, high=5)
        assert PYTHON.uniform(ours, -1.5, 2.0) == theirs.uniform(-1.5, 2.0)
        assert PYTHON.normal(ours) == theirs.standard_normal()


def test_normal_draws_of_the_tails_too():
    # 1 draw in 3,700 comes from a tail.
    values = np.zeros(300_000)
    normals(seeded(7), values)
    expected = np.random.default_rng(7).standard_normal(len(values))
    assert np.abs(expected).max() > 4
    np.testing.assert_array_equal(values, expected)
