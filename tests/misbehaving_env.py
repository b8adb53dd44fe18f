"""A Gymnasium environment that fails in ways that training has to survive."""

from __future__ import annotations

import os
import time
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces


class MisbehavingEnv(gymnasium.Env):
    """Ten steps, whose reward is the action; goes wrong as told.

    With mode "nan" every third seed gets a NaN reward; "hang" and "die" stop or kill
    the process once, when the file `marker` does not exist yet.
    """

    observation_space = spaces.Box(-1.0, 1.0, (2,), np.float32)
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
        observation = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return observation, reward, False, self._steps == 10, {}


gymnasium.register("Misbehaving-v0", MisbehavingEnv)
