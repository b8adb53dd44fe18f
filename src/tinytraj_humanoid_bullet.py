"""The humanoid task of the ClipUp paper, as Gymnasium id TinyTrajHumanoidBulletEnv-v0.

Toklu, Liskowski and Srivastava, "ClipUp: A Simple and Powerful Optimizer for
Distribution-based Policy Evolution", 2020, https://arxiv.org/abs/2008.02387: PyBullet's
humanoid with episodes of 200 steps and without the bonus for being alive, so that a
policy cannot score by standing still.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from pybullet_envs_gymnasium.gym_locomotion_envs import HumanoidBulletEnv


class TinyTrajHumanoidBulletEnv(HumanoidBulletEnv):
    """PyBullet's humanoid, without the reward for being alive.

    Observations, actions, terminations and physics are those of
    `pybullet_envs_gymnasium.gym_locomotion_envs.HumanoidBulletEnv`.
    """

    def step(
        self, a: NDArray[np.floating]
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Advance the simulation by one control step.

        Parameters
        ----------
        a
            Torques of the motors as fractions of their maximum, shape (17,);
            clipped to [-1, 1].

        Returns
        -------
        observation : ndarray of float32, shape (44,)
            Body pose, joints and foot contacts, clipped to [-5, 5].
        reward : float
            Progress minus the costs of motors and joint limits, per step.
        terminated : bool
            Whether the humanoid fell.
        truncated : bool
            Always False; the time limit is a wrapper.
        info : dict
            Always empty.
        """
        observation, _, terminated, truncated, info = super().step(a)
        # rewards[0] is the bonus for being alive.
        return observation, float(sum(self.rewards[1:])), terminated, truncated, info


gymnasium.register(
    id="TinyTrajHumanoidBulletEnv-v0",
    entry_point="tinytraj_humanoid_bullet:TinyTrajHumanoidBulletEnv",
    max_episode_steps=200,
)
