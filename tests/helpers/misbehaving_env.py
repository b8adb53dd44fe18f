"""A Gymnasium environment that fails in ways that training must survive."""

from __future__ import annotations

import os
import time
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces

# Of two modes; the second one cannot be squared in float64.
OBSERVATIONS = {"nan_observation": np.nan, "huge_observation": 1e200}


class MisbehavingEnv(gymnasium.Env):
    """Episodes of ten steps with the action as reward, which fail in a given way.

    With mode "nan" every third seed gets a NaN reward; with "nan_observation" and
    "huge_observation" it gets an observation that is no use, and good rewards. "hang"
    and "die" stop or kill the process once, when the file `marker` does not exist yet.
    """

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, mode, marker=None):
        self._mode = mode
        self._marker = marker

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._seed, self._steps = seed, 0
        return self.observation_space.low * 0, {}

    def step(self, action):
        self._steps += 1
        reward = float(action[0])
        if self._mode == "nan" and self._seed % 3 == 0:
            reward = float("nan")
        if self._marker is not None and not Path(self._marker).exists():
            Path(self._marker).touch()
            if self._mode == "hang":
                time.sleep(1000)
            os._exit(3)
        observation = self.np_random.uniform(-1, 1, 2)
        if self._mode in OBSERVATIONS and self._seed % 3 == 0 and self._steps == 5:
            observation[0] = OBSERVATIONS[self._mode]
        if self._mode in OBSERVATIONS:
            reward = 1.0
        return observation, reward, False, self._steps == 10, {}


gymnasium.register("Misbehaving-v0", MisbehavingEnv, max_episode_steps=10)
