"""Gymnasium's Walker2d-v4 and Humanoid-v4 with less Python around MuJoCo.

Observations and rewards are bit-identical to those of the reference environments (a
test plays both), because they come from the same operations in the same order. What is
left out does not affect them: wrappers, `info`, repeated look-ups of MuJoCo's arrays,
and values that the last step has already computed.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import mujoco
import numpy as np
import numpy.typing as npt
from gymnasium.envs.mujoco.humanoid_v4 import HumanoidEnv
from gymnasium.envs.mujoco.walker2d_v4 import Walker2dEnv

Vector = npt.NDArray[np.float64]
Action = npt.NDArray[np.float32]


class FastMujoco(gymnasium.Env[Any, Any]):
    """Base class with resets, time limit, and views of the simulation's arrays.

    Parameters
    ----------
    reference
        The environment whose simulation, spaces and settings are used.
    max_episode_steps
        Number of steps after which an episode is truncated.
    """

    def __init__(
        self, reference: Walker2dEnv | HumanoidEnv, max_episode_steps: int
    ) -> None:
        self.observation_space = reference.observation_space
        self.action_space = reference.action_space
        self._max_steps = max_episode_steps
        self._model, self._data = reference.model, reference.data
        # Views of the simulation's memory, looked up once.
        self._qpos, self._qvel = self._data.qpos, self._data.qvel
        self._ctrl = self._data.ctrl
        self._init_qpos, self._init_qvel = reference.init_qpos, reference.init_qvel
        self._dt, self._frame_skip = reference.dt, reference.frame_skip
        self._noise = reference._reset_noise_scale
        self._forward_weight = reference._forward_reward_weight
        self._ctrl_cost_weight = reference._ctrl_cost_weight
        self._healthy_reward = reference._healthy_reward
        self._ends_unhealthy = reference._terminate_when_unhealthy
        self._healthy_z = reference._healthy_z_range
        self._steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vector, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        model, data = self._model, self._data
        mujoco.mj_resetData(model, data)
        low, high = -self._noise, self._noise
        self._qpos[:] = self._init_qpos + self.np_random.uniform(low, high, model.nq)
        self._qvel[:] = self._init_qvel + self.np_random.uniform(low, high, model.nv)
        mujoco.mj_forward(model, data)
        self._steps = 0
        return self._observation(), {}

    def step(self, action: Action) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Advance the simulation by one control step; the info is empty."""
        velocity = self._simulate(action)
        healthy = self._is_healthy()
        reward = (
            self._forward_weight * velocity
            + float(healthy or self._ends_unhealthy) * self._healthy_reward
        ) - self._ctrl_cost_weight * self._effort(action)
        self._steps += 1
        terminated = self._ends_unhealthy and not healthy
        truncated = self._steps == self._max_steps
        return self._observation(), reward, terminated, truncated, {}

    def _simulate(self, action: Action) -> float:
        """Advance the simulation and return the forward velocity."""
        raise NotImplementedError

    def _effort(self, action: Action) -> float:
        """Return the effort, which the control cost is proportional to."""
        raise NotImplementedError

    def _is_healthy(self) -> bool:
        raise NotImplementedError

    def _observation(self) -> Vector:
        raise NotImplementedError


class FastWalker2d(FastMujoco):
    """Walker2d-v4.

    Parameters
    ----------
    max_episode_steps
        Time limit.
    **settings
        Keyword arguments of Gymnasium's environment.
    """

    def __init__(self, max_episode_steps: int = 1000, **settings: Any) -> None:
        reference = Walker2dEnv(**settings)
        super().__init__(reference, max_episode_steps)
        self._healthy_angle = reference._healthy_angle_range
        excluded = int(reference._exclude_current_positions_from_observation)
        self._seen_qpos = self._qpos[excluded:]

    def _simulate(self, action: Action) -> float:
        before = self._qpos.item(0)
        self._ctrl[:] = action
        mujoco.mj_step(self._model, self._data, self._frame_skip)
        # The reference also computes contact forces here, which it does not use.
        return (self._qpos.item(0) - before) / self._dt

    def _effort(self, action: Action) -> float:
        # Summed in the precision of the action.
        return float(np.add.reduce(np.square(action)))

    def _is_healthy(self) -> bool:
        low, high = self._healthy_z
        low_angle, high_angle = self._healthy_angle
        return (
            low < self._qpos.item(1) < high
            and low_angle < self._qpos.item(2) < high_angle
        )

    def _observation(self) -> Vector:
        positions = len(self._seen_qpos)
        observation = np.empty(positions + len(self._qvel))
        observation[:positions] = self._seen_qpos
        velocities = observation[positions:]
        np.minimum(np.maximum(self._qvel, -10, velocities), 10, velocities)
        return observation


class FastHumanoid(FastMujoco):
    """Humanoid-v4.

    Parameters
    ----------
    max_episode_steps
        Time limit.
    **settings
        Keyword arguments of Gymnasium's environment.
    """

    def __init__(self, max_episode_steps: int = 1000, **settings: Any) -> None:
        reference = HumanoidEnv(**settings)
        super().__init__(reference, max_episode_steps)
        excluded = 2 * int(reference._exclude_current_positions_from_observation)
        data = self._data
        self._seen = (
            self._qpos[excluded:],
            self._qvel,
            data.cinert.reshape(-1),
            data.cvel.reshape(-1),
            data.qfrc_actuator,
            data.cfrc_ext.reshape(-1),
        )
        self._mass = np.expand_dims(self._model.body_mass, axis=1)
        self._total_mass = np.sum(self._mass)
        self._center_of_mass = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Vector, dict[str, Any]]:
        """Start an episode."""
        result = super().reset(seed=seed, options=options)
        self._center_of_mass = self._forward_position()
        return result

    def _forward_position(self) -> float:
        weighted = np.add.reduce(self._mass * self._data.xipos, axis=0)
        return float(weighted[0] / self._total_mass)

    def _simulate(self, action: Action) -> float:
        self._ctrl[:] = action
        mujoco.mj_step(self._model, self._data, self._frame_skip)
        # Contact forces, a part of the observation.
        mujoco.mj_rnePostConstraint(self._model, self._data)
        before, self._center_of_mass = self._center_of_mass, self._forward_position()
        return (self._center_of_mass - before) / self._dt

    def _effort(self, action: Action) -> float:
        return float(np.add.reduce(np.square(self._ctrl)))

    def _is_healthy(self) -> bool:
        low, high = self._healthy_z
        return bool(low < self._qpos.item(2) < high)

    def _observation(self) -> Vector:
        return np.concatenate(self._seen)
