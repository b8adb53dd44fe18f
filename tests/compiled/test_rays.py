"""Compiled sensors measure what POSGGym's do, bit for bit."""

import numpy as np
import posggym
import pytest
from posggym.envs.continuous.core import CollisionType

from posggym_compiled import native
from posggym_compiled.jit import lean_kernel
from posggym_compiled.worlds.continuous import rays

WORLDS = [
    ("DrivingContinuous-v0", {}),
    ("DrivingContinuous-v0", {"world": "7x7Blocks"}),
    ("PredatorPreyContinuous-v0", {"world": "15x15Blocks"}),
    ("PredatorPreyContinuous-v0", {"world": "5x5"}),
    ("PursuitEvasionContinuous-v0", {"world": "16x16"}),
]


@lean_kernel
def measure(sensors, sight, agent, others):
    rays.look(sensors, sight, 0, agent)
    rays.see_agents(sensors, sight, 0, agent, others, 0, len(others), 0)
    rays.see_obstacles(sensors, sight, 0, agent, 0)


def random_agent(rng, size):
    """Return an agent somewhere; some stand at or look along lines."""
    x, y = rng.uniform(0, size, 2)
    angle = rng.uniform(-7, 7)
    if rng.random() < 0.3:
        x, angle = round(x), rng.integers(-4, 4) * np.pi / 4
    return np.array([x, y, angle], np.float32)


@pytest.mark.parametrize(("env_id", "env_args"), WORLDS, ids=str)
def test_sensors(env_id, env_args):
    world = posggym.make(env_id, **env_args).model.world
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 40))
        reach = float(rng.uniform(0.5, 1.5 * world.size))
        sensors = rays.make_sensors(world, reach, count)
        agent = random_agent(rng, world.size)
        others = rng.uniform(0, world.size, (4, 2)).astype(np.float32)
        there = rng.random(4) < 0.5
        sight = rays.make_sight(sensors, 1, len(others))
        sight.visible[0] = there
        measure(sensors, sight, agent, others)
        expected, kinds = world.check_collision_circular_rays(
            tuple(agent), reach, count, others[there]
        )
        met = kinds == CollisionType.AGENT.value
        np.testing.assert_array_equal(sight.distances[0, 0], expected)
        np.testing.assert_array_equal(sight.agent_met[0], met)


@lean_kernel
def numpy_loops(values, angles, cosines, sines, rotation, vector, rotated):
    native.square64(values)
    native.cos32(angles, cosines)
    native.sin32(angles, sines)
    native.rotate64(rotation, vector, rotated)
    x, y = vector[0]
    return (
        native.norm32(angles[0], angles[1]),
        native.power(x, 2.0),
        native.dot64(x, y, rotation[1, 0], rotation[1, 1]),
        native.squares64(np.float64(angles[0]), np.float64(angles[1])),
    )


def test_numpy_computes():
    rng = np.random.default_rng(0)
    for _ in range(3000):
        x = rng.uniform(-100, 100, 2).astype(np.float32)
        angles = rng.uniform(-8, 8, 2 + rng.integers(30)).astype(np.float32)
        rotation, vector = rng.normal(size=(2, 2)), rng.normal(size=(3, 2))
        values = x.astype(np.float64)
        cosines, sines = np.empty_like(angles), np.empty_like(angles)
        rotated = np.empty((3, 2))
        norm, power, product, squares = numpy_loops(
            values, angles, cosines, sines, rotation, vector, rotated
        )
        assert list(values) == [x[0] ** 2, x[1] ** 2]
        assert list(cosines) == list(np.cos(angles))
        assert list(sines) == list(np.sin(angles))
        for i in range(len(vector)):
            assert list(rotated[i]) == list(rotation.dot(vector[i]))
        assert list(squares) == [angles[0] ** 2, angles[1] ** 2]
        assert norm == np.linalg.norm(angles[:2])
        assert power == float(vector[0, 0]) ** 2
        assert product == np.dot(list(vector[0]), list(rotation[1]))
