"""Gymnasium environments as training tasks."""

from __future__ import annotations

import functools
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium import spaces

from exact_gymnasium.episodes import ExactEpisodes, quiet_stdout
from exact_gymnasium.ids import canonical_env_id
from pgpelib.policies.networks import Array
from pgpelib.policies.policy import ActionSpec
from pgpelib.tasks.base import (
    Episode,
    ObservationRecorder,
    Others,
    Rollout,
    Task,
    episode_limit,
)


class Episodes(Protocol):
    """An environment whose episodes depend only on their seed and actions."""

    @property
    def env(self) -> gymnasium.Env[Any, Any]:
        """The environment of the current episode."""

    @property
    def endless(self) -> bool:
        """Whether the environment has no time limit."""

    def reset(self, seed: int) -> Any:
        """Start the episode of a seed, and return its first observation."""


class _FastEpisodes:
    """Episodes of a fast environment, whose resets are already exact."""

    endless = False

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        self.env = env

    def reset(self, seed: int) -> Any:
        return self.env.reset(seed=seed)[0]


# Time limit, and whether rewards have the alive bonus.
_FAST_HUMANOIDS = {
    "HumanoidBulletEnv-v0": (1000, True),
    "TinyTrajHumanoidBulletEnv-v0": (200, False),
}


def gymnasium_episodes(env_name: str, env_config: dict[str, Any]) -> Episodes:
    """Return the episodes of an environment, using its fast implementation if any.

    Fast implementations give bit-identical results. Their modules are imported on
    demand, so that workers load only the simulator that they use.
    """
    env_id = canonical_env_id(env_name)
    if env_id in _FAST_HUMANOIDS and not env_config:
        from pgpelib.tasks.bullet_humanoid import FastHumanoidBullet

        with quiet_stdout():
            return _FastEpisodes(FastHumanoidBullet(*_FAST_HUMANOIDS[env_id]))
    if env_id in ("Walker2d-v4", "Humanoid-v4"):
        from pgpelib.tasks.fast_mujoco import FastHumanoid, FastWalker2d

        fast = FastWalker2d if env_id == "Walker2d-v4" else FastHumanoid
        return _FastEpisodes(fast(**env_config))
    return ExactEpisodes(env_name, env_config)


class GymnasiumTask(Task):
    """One agent in a Gymnasium environment.

    Parameters
    ----------
    env_name
        Gymnasium id; old spellings are accepted.
    env_config
        Keyword arguments of `gymnasium.make`.
    max_episode_length
        Stop an episode after this many steps; -1 for the environment's own limit.
    decrease_rewards_by
        Subtracted from each reward (how the paper removes a constant alive bonus from
        the fitness).
    only_if_endless
        Whether `max_episode_length` applies only if the environment has no time limit.

    Raises
    ------
    ValueError
        If policies do not support a space, or episodes have no limit.
    """

    def __init__(
        self,
        env_name: str,
        env_config: dict[str, Any],
        max_episode_length: int = -1,
        decrease_rewards_by: float = 0.0,
        only_if_endless: bool = False,
    ) -> None:
        self._make = functools.partial(gymnasium_episodes, env_name, env_config)
        self._episodes = [self._make()]
        self._recorders: list[ObservationRecorder] = []
        if canonical_env_id(env_name) in _FAST_HUMANOIDS:
            # Measured: alternating between PyBullet simulations reduces their speed to
            # 0.75, which costs far more than batched forward passes gain.
            self.max_slots = 1
        self._max_steps = episode_limit(
            env_name, self._episodes[0].endless, max_episode_length, only_if_endless
        )
        self._decrease = decrease_rewards_by
        env = self._episodes[0].env
        space = self._observation_space = env.observation_space
        if isinstance(space, spaces.Box) and len(space.shape) == 1:
            self.obs_processor: tuple[str, dict[str, Any]] = ("IdentityProcessor", {})
            self._flatten = False
        else:
            self.obs_processor = ("FlattenProcessor", {})
            self._flatten = True
        self.observation_size = flat_size(space, env_name)
        self.action = action_spec(env.action_space, env_name)
        self._dtype = env.action_space.dtype
        # Outputs are actions in the environment's own units, clipped to its bounds.
        self.action_processor: tuple[str, dict[str, Any]] = ("IdentityProcessor", {})

    def episode(
        self,
        slot: int,
        seed: int,
        observations: Array,
        outputs: Array,
        others: Others | None = None,
    ) -> Episode:
        """Play one episode, see `Task.episode`."""
        assert not others, "a Gymnasium environment has one agent"
        while len(self._episodes) <= slot:
            self._episodes.append(self._make())
        while len(self._recorders) <= slot:
            self._recorders.append(ObservationRecorder(self.observation_size))
        episodes, recorder = self._episodes[slot], self._recorders[slot]
        recorder.start()
        space = self._observation_space
        decode, discrete = self.action.decode, self.action.kind == "discrete"
        (own_observation,), (own_outputs,) = observations, outputs
        fitness, steps, done = 0.0, 0, False
        observation = episodes.reset(seed)
        env = episodes.env
        while not done:
            if self._flatten:
                observation = spaces.flatten(space, observation)
            own_observation[:] = observation
            recorder.add(own_observation)
            yield
            action = decode(own_outputs)
            if not discrete:
                action = action.astype(self._dtype)
            observation, reward, terminated, truncated, _ = env.step(action)
            fitness += float(reward) - self._decrease
            steps += 1
            done = terminated or truncated or steps == self._max_steps
        return Rollout(fitness, steps, recorder.stats())


def flat_size(space: spaces.Space[Any], env_name: str) -> int:
    """Return the length of flattened observations; `env_name` is for the error.

    Raises
    ------
    ValueError
        If observations have no fixed length.
    """
    if not space.is_np_flattenable:
        raise ValueError(
            f"{env_name}: observations of {space} have no fixed length; "
            "a policy needs one"
        )
    return int(spaces.flatdim(space))


def action_spec(space: spaces.Space[Any], env_name: str) -> ActionSpec:
    """Return how network outputs are converted to actions of a space.

    Raises
    ------
    ValueError
        If the space is neither a one-dimensional Box nor a Discrete starting at 0.
    """
    if isinstance(space, spaces.Discrete):
        if space.start != 0:
            raise ValueError(
                f"{env_name}: actions start at {space.start}; POSGGym's policies can "
                "only act in Discrete spaces that start at 0"
            )
        return ActionSpec("discrete", n=int(space.n))
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return ActionSpec(
            "box", space.low.astype(np.float64), space.high.astype(np.float64)
        )
    raise ValueError(
        f"{env_name}: the action space {space} is neither a one-dimensional Box nor "
        "Discrete"
    )
