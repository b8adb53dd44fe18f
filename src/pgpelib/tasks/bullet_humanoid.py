"""A fast, bit-identical version of PyBullet's humanoid.

The reference is `HumanoidBulletEnv` of pybullet-envs-gymnasium 0.6.0. It queries
PyBullet for one link or joint at a time, hundreds of times per step, which takes longer
than the physics. `FastHumanoidBullet` lets the reference set up its world, and then
works on the same physics client with nine calls per step. Where a result depends on the
order in which NumPy or BLAS sums numbers, it uses the reference's own expression.

Which episode is the right one
------------------------------
In the reference, an episode depends on earlier ones: `restoreState` restores positions
and velocities, but Bullet's broad phase keeps its pairs of nearby shapes, with their
collision algorithms, from the end of the previous episode. With many contacts, as when
the robot lies on the floor, this changes results. This module reproduces the second
episode of a new reference environment,

    env = HumanoidBulletEnv()
    env.reset(seed=0)
    env.reset(seed=seed)

which is bit-identical in every process. (The first episode differs: from the first step
on, the reference counts the floor as a part of the robot, so only the very first
observation of an environment is without it.)

PyBullet's simple broad phase (`RESET_USE_SIMPLE_BROADPHASE`) would save a fifth of a
simulation step, but not keep all bits. Contacts are solved in the order of the shapes'
numbers, and those of the same two links, such as a forearm with its hand on the pelvis,
in an order that depends on when all pairs were removed: about one of a thousand
episodes on the floor differs.

Comments on PyBullet's internals refer to the sources of version 3.2.7.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pybullet
from gymnasium import spaces
from pybullet_envs_gymnasium.gym_locomotion_envs import HumanoidBulletEnv

# The torso's height in m in `Humanoid.robot_specific_reset` and `Humanoid.alive_bonus`.
_INITIAL_Z = 0.8
_LOWEST_ALIVE_Z = 0.78
# How close to a limit joints are at the limit in `WalkerBase.calc_state`.
_JOINT_LIMIT = 0.99
_ALIVE, _FALLEN = 2.0, -1.0

# Group and mask of a shape in the broad phase, as PyBullet sets them when it loads
# plane_stadium.sdf (Bullet's defaults of a static body) and humanoid_symmetric.xml.
_FLOOR_FILTER = (2, ~2)
_ROBOT_FILTER = (1, 1)
_NO_COLLISIONS = (0, 0)


def _buffer(*shape: int) -> tuple[npt.NDArray[np.float64], Callable[..., None]]:
    """Return an array, and a function that sets all of its numbers.

    This takes a fourth of the time of making an array of a list.
    """
    array = np.empty(shape)
    return array, partial(struct.Struct(f"{array.size}d").pack_into, array.data, 0)


class FastHumanoidBullet(gymnasium.Env[npt.NDArray[np.float32], npt.NDArray[Any]]):
    """PyBullet's humanoid, whose episodes depend only on their seed and actions.

    Observations, rewards, terminations and random numbers are bit for bit those of
    `pybullet_envs_gymnasium.gym_locomotion_envs.HumanoidBulletEnv` (see the module).

    Observations are float32 of shape (44,), clipped to [-5, 5]: height over 0.8 m, sine
    and cosine of the angle to the target, 0.3 times the velocity (m/s) ahead, to the
    left and up, roll and pitch (rad); then for each of 17 joints its position, -1 and 1
    being the limits, and 0.1 times its speed (rad/s); then whether the right and the
    left foot touched the floor one step ago.

    Actions are floats of shape (17,), clipped to [-1, 1]: the torque of each motor as a
    fraction of its maximum. float32 and float64 actions give the reference's results
    for these types; other types are converted to float64.

    Parameters
    ----------
    max_episode_steps
        Steps of 16.5 ms after which an episode is truncated.
    alive_bonus
        Whether rewards include the alive bonus: 2, or -1 if the robot has fallen.
        Without it, rewards are those of TinyTrajHumanoidBulletEnv-v0.

    Raises
    ------
    ValueError
        If `max_episode_steps` is less than 1.
    """

    def __init__(self, max_episode_steps: int = 1000, alive_bonus: bool = True) -> None:
        if max_episode_steps < 1:
            raise ValueError(f"max_episode_steps: {max_episode_steps} is less than 1")
        self.observation_space = spaces.Box(-np.inf, np.inf, (44,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (17,), np.float32)
        self._max_episode_steps = max_episode_steps
        self._first_reward = 0 if alive_bonus else 1
        self._steps = 0
        self._right_foot = self._left_foot = 0.0
        self._potential = 0.0

        self._world = world = HumanoidBulletEnv()
        world.reset(seed=0)  # connects, loads, and saves the state to restore
        self._bind_physics(world)

        robot = world.robot
        self._gains = [power * robot.power for power in robot.motor_power]
        self._joint_ranges = [
            (joint.lowerLimit, joint.upperLimit - joint.lowerLimit)
            for joint in robot.ordered_joints
        ]
        self._target_x = float(robot.walk_target_x)
        self._target_y = float(robot.walk_target_y)
        self._dt = world.scene.dt
        self._electricity_cost = world.electricity_cost
        self._stall_torque_cost = world.stall_torque_cost
        self._joints_at_limit_cost = world.joints_at_limit_cost

        # Buffers reused in every step; returned arrays are always new.
        self._values, self._fill_values = _buffer(44)
        self._to_target, self._fill_to_target = _buffer(2)
        self._rotation, self._fill_rotation = _buffer(3, 3)
        self._velocity, self._fill_velocity = _buffer(3)
        self._loads = {}
        for kind in (np.float32, np.float64):
            loads = np.empty((2, 17), kind)
            self._loads[loads.dtype] = loads, loads[0], loads[1], kind(17)
        self._lowest = np.full(44, -5.0, np.float32)
        self._highest = np.full(44, 5.0, np.float32)
        self._joint_limits = np.full(17, _JOINT_LIMIT, np.float32)

    def _bind_physics(self, world: HumanoidBulletEnv) -> None:
        """Bind PyBullet's functions to the client, bodies and links of a world.

        The reference goes through `BulletClient.__getattr__`, which uses `inspect` in
        each call. Positional arguments are faster than keywords for PyBullet to parse.
        """
        robot, client = world.robot, world.physicsClientId
        torso = robot.robot_body
        assert torso.bodyPartIndex == -1  # the base of the humanoid
        humanoid = torso.bodies[torso.bodyIndex]
        ((floor, _),) = world.ground_ids
        joints = tuple(joint.jointIndex for joint in robot.ordered_joints)
        assert joints == tuple(motor.jointIndex for motor in robot.motors)

        self._step_simulation = partial(pybullet.stepSimulation, client)
        self._set_torques = partial(
            pybullet.setJointMotorControlArray,
            humanoid,
            joints,
            pybullet.TORQUE_CONTROL,
            physicsClientId=client,
        )
        self._get_joints = partial(pybullet.getJointStates, humanoid, joints, client)
        self._get_pose = partial(
            pybullet.getBasePositionAndOrientation, humanoid, client
        )
        self._get_velocity = partial(pybullet.getBaseVelocity, humanoid, client)
        # The reference gets all contacts of a foot and searches them for the floor.
        self._right_contacts, self._left_contacts = (
            partial(
                pybullet.getContactPoints,
                humanoid,
                floor,
                foot.bodyPartIndex,
                -1,
                client,
            )
            for foot in robot.feet
        )
        self._restore_state = partial(
            pybullet.restoreState, world.stateId, physicsClientId=client
        )
        self._reset_joints = partial(
            pybullet.resetJointStatesMultiDof,
            humanoid,
            joints,
            # PyBullet 3.2.7 crashes if this one is a tuple of tuples.
            targetVelocities=[[0.0]] * len(joints),
            physicsClientId=client,
        )

        self._bind_links(robot, humanoid, floor, client)
        self._bind_collisions(humanoid, floor, client)

    def _bind_links(self, robot: Any, humanoid: int, floor: int, client: int) -> None:
        """Bind what reads the positions that the reference averages over.

        The last bits of the average depend on the order of the parts.
        """
        # Parts include massless links between the axes of a joint. Links that coincide
        # to the last bit in a random pose, as after the first reset, always coincide,
        # so only one of them is queried.
        self._floor_position, _ = pybullet.getBasePositionAndOrientation(floor, client)
        distinct: dict[tuple[float, ...], int] = {}
        order: list[tuple[int, int]] = []
        for part in robot.parts.values():
            body, link = part.bodies[part.bodyIndex], part.bodyPartIndex
            if body == humanoid and link >= 0:
                position = pybullet.getLinkState(body, link, physicsClientId=client)[0]
                link = distinct.setdefault(position, link)
            order.append((body, link))
        links = tuple(distinct.values())
        places = [(humanoid, link) for link in links] + [(humanoid, -1), (floor, -1)]
        self._all_parts = itemgetter(*(places.index(part) for part in order))
        self._parts, self._fill_parts = _buffer(2, len(order))
        self._get_links = partial(pybullet.getLinkStates, humanoid, links, 0, 0, client)

    def _bind_collisions(self, humanoid: int, floor: int, client: int) -> None:
        """Bind what clears the contacts that a simulation keeps across resets.

        When a shape is assigned a group and a mask, even unchanged ones, PyBullet
        removes it from the broad phase and adds it again
        (processCollisionFilterCommand). This clears its pairs, algorithms and
        contacts. Contacts are solved in the order in which shapes were added, so the
        order here is that in which the reference loads them.
        """
        self._refresh_collisions = [
            partial(
                pybullet.setCollisionFilterGroupMask, floor, -1, *_FLOOR_FILTER, client
            )
        ]
        for link in range(-1, pybullet.getNumJoints(humanoid, client)):
            # Massless links have no shape to collide with. PyBullet nevertheless checks
            # them for collisions, which takes an eighth of a simulation step.
            massless = pybullet.getDynamicsInfo(humanoid, link, client)[0] == 0
            set_filter = partial(
                pybullet.setCollisionFilterGroupMask,
                humanoid,
                link,
                *(_NO_COLLISIONS if massless else _ROBOT_FILTER),
                client,
            )
            if massless:
                set_filter()
            else:
                self._refresh_collisions.append(set_filter)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
        """Start an episode.

        Parameters
        ----------
        seed
            Seed of the joint positions; None to continue with the current generator.
        options
            Not used.

        Returns
        -------
        observation : ndarray of float32, shape (44,)
            See the class.
        info : dict
            Always empty.
        """
        super().reset(seed=seed)
        # The reference draws one number at a time, which gives the same numbers.
        self.reset_physics(self.np_random.uniform(-0.1, 0.1, 17).tolist())
        self._steps = 0
        self._right_foot = self._left_foot = 0.0
        values = self._observe()
        return np.clip(values, self._lowest, self._highest), {}

    def step(
        self, action: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Advance the simulation by one control step of 16.5 ms.

        Parameters
        ----------
        action
            Shape (17,); see the class.

        Returns
        -------
        observation : ndarray of float32, shape (44,)
            See the class.
        reward : float
            Metres moved towards the target, divided by 16.5 ms, minus the costs of
            motors and of joints at their limits, plus the bonus for being alive.
        terminated : bool
            Whether the humanoid fell.
        truncated : bool
            Whether the time limit is reached.
        info : dict
            Always empty.

        Raises
        ------
        ValueError
            If the action is not finite.
        """
        if not isinstance(action, np.ndarray) or action.dtype not in self._loads:
            action = np.asarray(action, np.float64)
        self.step_physics(self.torques(action))

        potential_before = self._potential
        values = self._observe()
        observation = np.maximum(values, self._lowest)
        np.minimum(observation, self._highest, observation)
        # One half of the joints' numbers are positions, the other half are speeds.
        positions, speeds = values[8:42:2], values[9:42:2]
        height = observation.item(0) + _INITIAL_Z
        alive = _ALIVE if height > _LOWEST_ALIVE_Z else _FALLEN
        terminated = alive < 0
        if math.isnan(observation.dot(observation)):
            terminated = True  # a clipped number is finite or NaN

        # `numpy.mean` in the precision of the action, and sums as `numpy.mean` does.
        loads, powers, squares, size = self._loads[action.dtype]
        np.multiply(action, speeds, powers)
        np.abs(powers, powers)
        np.multiply(action, action, squares)
        power, heat = (np.add.reduce(loads, 1) / size).tolist()
        electricity = self._electricity_cost * power
        electricity += self._stall_torque_cost * heat
        at_limit = np.count_nonzero(np.abs(positions) > self._joint_limits)

        # As in the reference, observations show the contacts of the previous step.
        self._right_foot = 1.0 if self._right_contacts() else 0.0
        self._left_foot = 1.0 if self._left_contacts() else 0.0

        rewards = [
            alive,
            self._potential - potential_before,
            electricity,
            self._joints_at_limit_cost * at_limit,
            0.0,  # the reference's cost of colliding feet, which is always 0
        ]
        self._steps += 1
        return (
            observation,
            sum(rewards[self._first_reward :]),
            terminated,
            self._steps >= self._max_episode_steps,
            {},
        )

    def torques(self, action: npt.NDArray[np.floating]) -> list[float]:
        """Convert an action of shape (17,) to the torques of the motors in N m.

        Raises
        ------
        ValueError
            If the action is not finite.
        """
        fractions = action.tolist()
        # If the sum is finite, so are all summands; this is faster than testing each.
        if not math.isfinite(sum(fractions)) and not np.isfinite(action).all():
            raise ValueError(f"the action is not finite: {action}")
        return [
            gain * (-1.0 if fraction < -1.0 else 1.0 if fraction > 1.0 else fraction)
            for gain, fraction in zip(self._gains, fractions, strict=True)
        ]

    def step_physics(self, torques: list[float]) -> None:
        """Advance only the simulator, by 16.5 ms.

        Parameters
        ----------
        torques
            Torques of the 17 motors in N m.
        """
        self._set_torques(forces=torques)
        self._step_simulation()

    def reset_physics(self, joint_positions: list[float]) -> None:
        """Put the simulator into an episode's initial state.

        Of what the reference does in a reset, only restoring the state and moving the
        joints has an effect: motors of force 0 remain disabled, gravity and solver
        remain set, and the floor is looked up but not added again.

        Parameters
        ----------
        joint_positions
            Angles of the 17 joints in rad.
        """
        self._restore_state()
        for refresh in self._refresh_collisions:
            refresh()
        self._reset_joints(targetValues=[[angle] for angle in joint_positions])

    def _observe(self) -> npt.NDArray[np.float32]:
        """Return the observation before it is clipped, and update the potential.

        This combines `WalkerBase.calc_state` and `WalkerBase.calc_potential`.
        Operations on single numbers are bit-identical in Python and NumPy.
        """
        joints = self._get_joints()
        pose = self._get_pose()
        (_, _, z), orientation = pose
        positions = [link[0] for link in self._get_links()]
        positions += (pose[0], self._floor_position)
        x, y, _ = zip(*self._all_parts(positions), strict=True)
        self._fill_parts(*x, *y)
        # Sums over the last axis are pairwise, like the reference's sums of 1-d arrays.
        sum_x, sum_y = np.add.reduce(self._parts, 1).tolist()
        count = len(x)

        roll, pitch, yaw = pybullet.getEulerFromQuaternion(orientation)
        # NumPy's functions and BLAS instead of `math`, which can differ in the last
        # bits.
        to_target_x = self._target_x - sum_x / count
        to_target_y = self._target_y - sum_y / count
        angle = np.arctan2(to_target_y, to_target_x) - yaw
        # This is how `numpy.linalg.norm` computes the distance.
        self._fill_to_target(to_target_y, to_target_x)
        distance = math.sqrt(self._to_target.dot(self._to_target))
        self._potential = -distance / self._dt
        cosine, sine = np.cos(-yaw), np.sin(-yaw)
        self._fill_rotation(cosine, -sine, 0.0, sine, cosine, 0.0, 0.0, 0.0, 1.0)
        self._fill_velocity(*self._get_velocity()[0])
        vx, vy, vz = self._rotation.dot(self._velocity).tolist()

        values = [
            z - _INITIAL_Z,
            np.sin(angle),
            np.cos(angle),
            0.3 * vx,
            0.3 * vy,
            0.3 * vz,
            roll,
            pitch,
        ]
        for (position, speed, _, _), (lower, span) in zip(
            joints, self._joint_ranges, strict=True
        ):
            values += (2 * (position - lower) / span - 1.0, 0.1 * speed)
        values += (self._right_foot, self._left_foot)
        self._fill_values(*values)
        return self._values.astype(np.float32)

    def close(self) -> None:
        """Disconnect from PyBullet."""
        self._world.close()
