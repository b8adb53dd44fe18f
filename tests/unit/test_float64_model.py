"""Bounds of float32 computations hold, and are close enough to find mistakes."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from made_policies import architectures, load_in_posggym, make_policy
from pgpelib.policies.policy import ActionSpec, Architecture
from posggym_es.conversion.float64_model import Float64Model


@pytest.mark.slow
@settings(max_examples=40)
@given(architectures, st.integers(0, 2**31), st.floats(1e-3, 30.0))
def test_posggyms_outputs_lie_within_the_bounds(
    tmp_path_factory, architecture, seed, scale
):
    rng = np.random.default_rng(seed)
    n = architecture.output_size
    policy = make_policy(
        architecture,
        scale * rng.normal(size=architecture.num_parameters),
        ActionSpec("box", -np.ones(n), np.ones(n)),
    )
    path = tmp_path_factory.mktemp("bounds") / "policy.pkl"
    loaded = load_in_posggym(policy, spaces.Box(-1, 1, (n,)), path)
    exact = Float64Model(loaded.policy_model)
    network, state = policy.network(), exact.start()
    for observation in 10 * rng.normal(size=(20, architecture.observation_size)):
        before = [
            tuple(tensor[0].numpy().astype(np.float64) for tensor in layer)
            for layer in zip(*loaded._state["lstm_state"], strict=True)
        ]
        loaded.step(observation)
        computed = loaded._state["action_probs"].reshape(2, n)[0]
        bounded, _ = exact.step(observation, before)
        assert (bounded.low[:n] <= computed).all()
        assert (computed <= bounded.high[:n]).all()
        outputs, state = exact.step(observation, state)
        if scale < 1:
            expected = network(observation)
            assert outputs.value[:n] == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_bounds_are_a_few_roundings_of_the_terms(tmp_path):
    policy = make_policy(
        Architecture(4, 1), [1.0, -2.0, 3.0, 0.0, 0.5], ActionSpec("box", *BOUNDS)
    )
    loaded = load_in_posggym(policy, spaces.Box(-1, 1, (1,)), tmp_path / "p.pkl")
    exact = Float64Model(loaded.policy_model)
    for size in (1.0, 1e3):
        x = size * np.ones(4)
        bounded, _ = exact.step(x, exact.start())
        terms = 6 * size + 0.5
        assert bounded.value[0] == pytest.approx(2 * size + 0.5, rel=1e-12)
        assert 2**-24 * terms < bounded.error[0] < 100 * 2**-24 * terms


BOUNDS = (np.array([-1.0]), np.array([1.0]))
