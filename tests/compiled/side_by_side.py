"""Playing an environment of POSGGym and its compiled form with the same actions."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
import posggym
from posggym.agents.utils.processors import FlattenProcessor

from posggym_compiled.interface import Discrete, OneHot, World, world_for
from posggym_compiled.replay import replay

# Episodes of each set of arguments; the long form is for changes of a world.
EPISODES = 1000 if os.environ.get("COMPILED_LONG") else 40
# Episodes whose observations go through POSGGym's processor itself, which is slow.
PROCESSED = 3


def flat(observation: Any) -> list[Any]:
    """Return the numbers of a nested observation in their order."""
    if isinstance(observation, tuple | list):
        return [number for part in observation for number in flat(part)]
    if isinstance(observation, dict):
        return flat(list(observation.values()))
    if isinstance(observation, np.ndarray):
        return list(observation.ravel())
    return [observation]


def expected_observation(
    world: World, env: posggym.Env, agent: int, observation: Any, processed: bool
) -> np.ndarray:
    """Return what `observe` should write for an observation of POSGGym."""
    spec = world.observations[agent]
    if not isinstance(spec, OneHot):
        return np.asarray(observation).ravel()
    if processed:
        space = env.observation_spaces[world.agents[agent]]
        vector = FlattenProcessor(space)(observation)
        assert len(vector) == spec.size
        return np.flatnonzero(vector)
    return np.array(flat(observation), np.int64) - spec.starts + spec.offsets


def check_episode(
    world: World,
    state: Any,
    env: posggym.Env,
    seed: int,
    actions: np.ndarray,
    processed: bool,
    fails: tuple[type[Exception], ...] = (),
) -> int:
    """Play one episode both ways, compare all bits, and return its length.

    Nothing is compared from the step on in which POSGGym fails with one of `fails`.
    """
    record = replay(world, state, seed, actions)
    seen, _ = env.reset(seed=seed)
    for t in range(len(actions) + 1):
        for agent, name in enumerate(world.agents):
            expected = expected_observation(world, env, agent, seen[name], processed)
            got = record.observations[t, agent, : len(expected)]
            np.testing.assert_array_equal(got, expected, f"{name}, step {t}")
        if t == len(record.rewards):
            break
        joint = dict(zip(world.agents, actions[t], strict=True))
        if isinstance(world.actions[0], Discrete):
            joint = {name: int(action) for name, action in joint.items()}
        try:
            seen, rewards, terminated, truncated, done, _ = env.step(joint)
        except fails:
            return t
        assert list(record.rewards[t]) == [rewards[i] for i in world.agents], t
        assert list(record.terminated[t]) == [terminated[i] for i in world.agents], t
        over = record.all_done and t == len(record.rewards) - 1
        assert done == (over or t == len(actions) - 1), t
    return len(record.rewards)


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


def check_world(
    env_id: str,
    env_args: dict[str, Any],
    episodes: int = EPISODES,
    first_seed: int = 0,
    repeat: float = 0.0,
    renew: bool = False,
    fails: tuple[type[Exception], ...] = (),
) -> None:
    """Check episodes with random actions.

    Parameters
    ----------
    env_id, env_args
        The environment.
    episodes
        Number of episodes.
    first_seed
        Seed of the first episode; the others follow.
    repeat
        Probability that an agent goes on with its last action, for environments in
        which random steps lead nowhere.
    renew
        Make POSGGym's environment for each episode, where it keeps something of those
        before.
    fails
        Exceptions of POSGGym that end the comparison of an episode.
    """
    world = world_for(env_id, **env_args)
    env = posggym.make(env_id, disable_env_checker=True, **env_args)
    state = world.make_state(1)
    rng = np.random.default_rng(first_seed)
    limit = world.max_episode_steps
    assert limit is not None
    for episode in range(episodes):
        actions = random_actions(world, rng, limit, repeat)
        seed = first_seed + episode
        if renew:
            env.close()
            env = posggym.make(env_id, disable_env_checker=True, **env_args)
        processed = episode < PROCESSED
        check_episode(world, state, env, seed, actions, processed, fails)
    env.close()


def case_name(value: Any) -> str:
    """Return a test case's name for a value, the same in every test process."""
    return re.sub(r" object at 0x[0-9a-f]+", "", str(value))
