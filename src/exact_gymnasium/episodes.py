"""Gymnasium environments whose episodes depend only on their seed and actions.

`env.reset(seed=s)` does not guarantee this, because simulators keep state across
resets. Training needs it, because a solution must have the same fitness on all workers.
So does a model that replays an episode to return to one of its states.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import gymnasium

from exact_gymnasium.ids import make_gymnasium

# Families whose episodes were measured to be bit-identical after reset(seed), whatever
# was simulated before. Others are recreated for each episode, because their collision
# detection keeps state. When reused, HumanoidBulletEnv-v0 differed in 28 of 40 episodes
# continued after the fall, BipedalWalker-v3 in 15 of 25, and LunarLander-v2 in 1 of 25.
_RESETS_EXACTLY = (
    "gymnasium.envs.classic_control.",
    "gymnasium.envs.mujoco.",
    "gymnasium.envs.toy_text.",
)
_LUNAR_LANDER = "gymnasium.envs.box2d.lunar_lander"


class ExactEpisodes:
    """An environment whose episodes do not depend on earlier ones.

    All episodes start from an environment that has been reset exactly once before.
    PyBullet's locomotion tasks need that reset: from their second reset on, they
    restore a saved simulation, so the first episode of a new environment is not the one
    that the same seed gives later. Environments that are not known to reset exactly are
    recreated for each episode.

    Parameters
    ----------
    env_id
        Gymnasium id as in `exact_gymnasium.ids.canonical_env_id`.
    env_config
        Keyword arguments of `gymnasium.make`.
    """

    def __init__(self, env_id: str, env_config: dict[str, Any]) -> None:
        self.env_id = env_id
        self.env_config = env_config
        self._env: gymnasium.Env | None = None

    @property
    def env(self) -> gymnasium.Env:
        """The environment; created and reset once if it is not open.

        `reset` may replace it by a new one.
        """
        if self._env is None:
            with quiet_stdout():
                self._env = make_gymnasium(self.env_id, **self.env_config)
                self._env.reset(seed=0)
        return self._env

    @property
    def endless(self) -> bool:
        """Whether the environment has no time limit, so that episodes may never end."""
        return self.env.spec is None or self.env.spec.max_episode_steps is None

    def reset(self, seed: int) -> Any:
        """Start the episode of a seed, and return its first observation."""
        unwrapped = self.env.unwrapped
        module = type(unwrapped).__module__
        if module == _LUNAR_LANDER:
            _renew_world(unwrapped)
        elif not module.startswith(_RESETS_EXACTLY):
            self.close()
        return self.env.reset(seed=seed)[0]

    def close(self) -> None:
        """Close the environment; the next use creates a new one."""
        if self._env is not None:
            self._env.close()
        self._env = None

    def __getstate__(self) -> dict[str, Any]:
        # Simulators cannot be copied or pickled; a copy creates its own.
        return {**self.__dict__, "_env": None}


@contextlib.contextmanager
def quiet_stdout() -> Iterator[None]:
    """Discard standard output, including that of C code.

    PyBullet prints a line for every simulation, which may be every episode.
    """
    sys.stdout.flush()
    saved = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(null)


def _renew_world(lander: Any) -> None:
    """Create a new Box2D world for LunarLander, as Gymnasium 1.0 does at each reset.

    The old world keeps its contact tree when bodies are destroyed and recreated, which
    changed about 1 in 25 episodes. This is ten times as fast as a new environment.
    """
    lander._destroy()
    lander.world = type(lander.world)(gravity=(0, lander.gravity))
