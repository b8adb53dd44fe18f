"""Playing environments of POSGGym and their compiled forms with the same actions."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import posggym
from gymnasium import spaces
from posggym.agents.utils.processors import FlattenProcessor, RescaleProcessor

from pgpelib.policies.networks import Network
from pgpelib.policies.policy import Architecture
from posggym_compiled.interface import Dense, Discrete, World
from posggym_compiled.vector import VectorEnv

SHAPES: list[dict[str, Any]] = [
    {},
    {"hidden": (16,)},
    {"hidden": (8,), "lstm_size": 6},
]


def flat(observation: Any) -> list[Any]:
    """Return the numbers of a nested observation in their order."""
    if isinstance(observation, tuple | list):
        return [number for part in observation for number in flat(part)]
    if isinstance(observation, dict):
        return flat(list(observation.values()))
    if isinstance(observation, np.ndarray):
        return list(observation.ravel())
    return [observation]


def observation_processor(space: spaces.Space[Any]) -> Any:
    """Return the processor that agents of this space are registered with."""
    is_vector = isinstance(space, spaces.Box) and len(space.shape) == 1
    return (RescaleProcessor if is_vector else FlattenProcessor)(space)


class Reference:
    """An environment of POSGGym.

    Parameters
    ----------
    env_id, env_args
        What `posggym.make` takes; `env_args` may be a function that returns it.
    process
        Whether observations and actions are those of POSGGym's processors.
    """

    def __init__(
        self,
        env_id: str,
        env_args: dict[str, Any] | Callable[[], dict[str, Any]],
        process: bool,
    ) -> None:
        self._env_id, self._env_args = env_id, env_args
        # Continuous environments keep contacts across episodes.
        self._renew = "Continuous" in env_id or env_id.startswith("Drone")
        self.env = self._make()
        self._process = process

    def _make(self) -> Any:
        env_args = (
            self._env_args if isinstance(self._env_args, dict) else self._env_args()
        )
        return posggym.make(self._env_id, disable_env_checker=True, **env_args)

    @functools.cached_property
    def _processors(self) -> dict[str, Any]:
        space = self.env.observation_spaces
        return {i: observation_processor(space[i]) for i in space}

    def observations(self, seen: dict[str, Any]) -> dict[str, Any]:
        """Return observations as a vector environment should give them."""
        if self._process:
            return {i: self._processors[i](seen[i]) for i in seen}
        return {
            i: seen[i] if isinstance(seen[i], np.ndarray) else np.array(flat(seen[i]))
            for i in seen
        }

    def _actions(self, actions: dict[str, Any]) -> dict[str, Any]:
        space = self.env.action_spaces
        if isinstance(space["0"], spaces.Discrete):
            return {i: int(actions[i]) for i in actions}
        if self._process:
            return {
                i: RescaleProcessor(space[i]).unprocess(np.clip(actions[i], -1.0, 1.0))
                for i in actions
            }
        return actions

    def reset(self, seed: int | None = None) -> dict[str, Any]:
        """Begin an episode; without a seed the random generator continues."""
        if self._renew:
            generator = self.env.model.rng
            self.env.close()
            self.env = self._make()
            self.env.model._rng = generator
        return self.observations(self.env.reset(seed=seed)[0])

    def step(self, actions: dict[str, Any]) -> tuple[Any, ...]:
        """Play a joint step."""
        seen, *others, _ = self.env.step(self._actions(actions))
        return self.observations(seen), *others


def assert_same(got: dict[str, Any], expected: dict[str, Any], when: str) -> None:
    """Compare what environment 0 gave for each agent with what POSGGym did."""
    for agent in expected:
        np.testing.assert_array_equal(
            got[agent][0], expected[agent], f"{agent}, {when}"
        )


def check_episode(
    vec: VectorEnv,
    reference: Reference,
    seed: int,
    act: Callable[[int, dict[str, Any]], dict[str, Any]],
    fails: tuple[type[Exception], ...] = (),
) -> int:
    """Play an episode both ways, compare all bits, and return its length.

    Parameters
    ----------
    vec
        One compiled environment.
    reference
        The same of POSGGym.
    seed
        Of the episode.
    act
        Returns the joint action for a step and POSGGym's observations.
    fails
        Nothing is compared from the step on in which POSGGym fails with one of these.
    """
    expected = reference.reset(seed)
    assert_same(vec.reset(seed=seed)[0], expected, "reset")
    t, done = 0, False
    while not done:
        joint = act(t, expected)
        try:
            expected, rewards, terminated, truncated, done = reference.step(joint)
        except fails:
            return t
        steps = vec.step({i: joint[i][None] for i in joint})
        assert steps.infos["dones"][0] == done, t
        seen = steps.infos["final_observation"] if done else steps.observations
        assert_same(seen, expected, f"step {t}")
        assert_same(steps.rewards, rewards, f"reward of step {t}")
        assert_same(steps.terminations, terminated, f"termination in step {t}")
        assert_same(steps.truncations, truncated, f"truncation in step {t}")
        t += 1
    return t


def random_actions(
    world: World, rng: np.random.Generator, steps: int, repeat: float
) -> np.ndarray:
    """Return joint actions; those of a Box may lie outside of it."""
    actions = world.action_buffer(steps)
    for agent, spec in enumerate(world.actions):
        shape = actions[:, agent].shape
        if isinstance(spec, Discrete):
            actions[:, agent] = rng.integers(spec.n, size=shape)
        else:
            beyond = (spec.high - spec.low) / 10
            actions[:, agent] = rng.uniform(
                spec.low - beyond, spec.high + beyond, shape
            )
    again = rng.random(actions.shape[:2]) < repeat
    for t in range(1, steps):
        actions[t][again[t]] = actions[t - 1][again[t]]
    return actions


def check_random(
    env_id: str,
    env_args: dict[str, Any] | Callable[[], dict[str, Any]],
    world: World,
    episodes: int,
    repeat: float = 0.5,
    fails: tuple[type[Exception], ...] = (),
) -> int:
    """Compare episodes with random actions, and return the steps."""
    vec = VectorEnv(world, 1)
    reference = Reference(env_id, env_args, process=False)
    rng = np.random.default_rng(episodes)
    limit = world.max_episode_steps
    assert limit is not None
    steps = 0
    for seed in range(episodes):
        actions = random_actions(world, rng, limit, repeat)

        def act(t: int, _: Any, actions: Any = actions) -> dict[str, Any]:
            return dict(zip(world.agents, actions[t], strict=True))

        steps += check_episode(vec, reference, seed, act, fails)
    return steps


def network_sizes(world: World, agent: int) -> tuple[int, int]:
    """Return the sizes of a network's input and output for an agent."""
    action = world.actions[agent]
    outputs = action.n if isinstance(action, Discrete) else action.size
    return world.observations[agent].size, outputs


def check_networks(
    env_id: str,
    env_args: dict[str, Any],
    world: World,
    episodes: int,
    fails: tuple[type[Exception], ...] = (),
) -> int:
    """Compare episodes that networks play from what they see; return the steps."""
    vec = VectorEnv(world, 1, processed=True)
    reference = Reference(env_id, env_args, process=True)
    rng = np.random.default_rng(episodes)
    steps = 0
    for seed in range(1000, 1000 + episodes):
        players = {}
        for agent, name in enumerate(world.agents):
            shape = SHAPES[(seed + agent) % len(SHAPES)]
            architecture = Architecture(*network_sizes(world, agent), **shape)
            parameters = rng.standard_normal(architecture.num_parameters)
            network = Network(architecture.layers(parameters), architecture.activation)
            players[name] = network.start()

        def act(_: int, seen: Any, players: Any = players) -> dict[str, Any]:
            outputs = {i: np.array(players[i](seen[i])) for i in players}
            if isinstance(world.actions[0], Dense):
                return outputs
            return {i: outputs[i].argmax() for i in outputs}

        steps += check_episode(vec, reference, seed, act, fails)
    return steps


def case_name(value: Any) -> str:
    """Return a test case's name for a value, the same in every test process."""
    return re.sub(r" object at 0x[0-9a-f]+", "", str(value))
