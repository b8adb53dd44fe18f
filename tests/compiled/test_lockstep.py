"""Episodes in lockstep are those that would be played one after another."""

import numpy as np
import pytest

from compiled_network import Compiled
from posggym_compiled.interface import world_for
from posggym_compiled.networks import Architecture
from posggym_compiled.partners.kinds import SampledNetwork, Uniform
from posggym_compiled.rollouts import SLOTS, Players

# As large as POSGGym's, so that small learners play in lockstep.
LARGE = {"hidden": (64, 32), "lstm_size": 256}
SHAPES = [
    {},
    {"hidden": (13, 9), "activation": "relu"},
    {"hidden": (7,), "lstm_size": 16},
    {"hidden": (8,), "lstm_size": 3, "head": (4, 6)},
]


@pytest.fixture(scope="module")
def pursuit():
    """A world, a learner, its solutions, and partners: two are networks."""
    world = world_for("PursuitEvasion-v1", grid="8x8")
    inputs, outputs = world.observations[0].size, world.actions[0].n
    rng = np.random.default_rng(0)
    large = Architecture(inputs, outputs, **LARGE)
    networks = [
        SampledNetwork(large, rng.standard_normal(large.num_parameters), single=True)
        for _ in range(2)
    ]
    own = Architecture(inputs, outputs, hidden=(8,))
    solutions = rng.standard_normal((20, own.num_parameters))
    return world, own, solutions, [networks[0], Uniform(), networks[1]]


def drawn_episodes(solutions, agents, partners):
    rng = np.random.default_rng(1)
    seeds = rng.integers(0, 2**63, (len(solutions), 3)).astype(np.uint64)
    cast = rng.integers(1, partners + 1, (*seeds.shape, agents))
    # The learner is now one agent, now another.
    learner = rng.integers(0, agents, seeds.shape)
    np.put_along_axis(cast, learner[..., None], 0, axis=2)
    return seeds, cast


def test_solutions_play_together_what_they_play_alone(pursuit):
    world, own, solutions, partners = pursuit
    seeds, cast = drawn_episodes(solutions, world.num_agents, len(partners))
    players = Players(world, own, partners)
    assert seeds.size > SLOTS
    together = players.play(solutions, seeds, cast=cast)
    for n in range(len(solutions)):
        alone = players.play(
            solutions[n : n + 1], seeds[n : n + 1], cast=cast[n : n + 1]
        )
        for ours, theirs in zip(together, alone, strict=True):
            np.testing.assert_array_equal(ours[n], theirs[0])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_networks_in_float32_have_the_outputs_of_those_in_float64(shape):
    rng = np.random.default_rng(3)
    architecture = Architecture(30, 5, **shape)
    parameters = rng.standard_normal(architecture.num_parameters).astype(np.float32)
    exact = Compiled(architecture, parameters.astype(np.float64))
    single = Compiled(architecture, parameters.astype(np.float64), dtype=np.float32)
    for _ in range(10):
        ones = np.sort(rng.choice(30, 7, replace=False)).astype(np.int32)
        outputs = single(ones)
        assert outputs.dtype == np.float32
        np.testing.assert_allclose(outputs, exact(ones), rtol=1e-4, atol=1e-4)
