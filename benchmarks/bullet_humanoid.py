"""Speed of the humanoid: the reference, the fast environment, and the physics alone.

All play the same episodes of small random torques on one core, in turns, so that a
machine that gets slower or faster does so for all. The limit is a replay of the
torques and resets in the reference's world, with nothing read from the simulator.

Example
-------
    python benchmarks/bullet_humanoid.py --episodes 100 --repeats 9 --seed 0
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable

import gymnasium
import numpy as np
import numpy.typing as npt
import pybullet
from pybullet_envs_gymnasium.gym_locomotion_envs import HumanoidBulletEnv

from pgpelib.tasks.bullet_humanoid import FastHumanoidBullet

LIMIT = "limit: physics of the reference"
TURN = 10
"""Episodes in a row: enough for warm caches, short enough for a steady machine."""


@dataclasses.dataclass(frozen=True)
class Episode:
    """Episodes that all contestants play.

    Parameters
    ----------
    seed
        Seed of the reset.
    joints
        Angles of the joints after the reset in rad, for those that only replay.
    actions
        Shape (steps, 17), float32.
    torques
        The torques of the actions in N m.
    """

    seed: int
    joints: list[float]
    actions: list[npt.NDArray[np.float32]]
    torques: list[list[float]]


def record(
    fast: FastHumanoidBullet, count: int, seed: int, scale: float
) -> list[Episode]:
    """Play episodes until the humanoid falls."""
    episodes = []
    for episode_seed in range(seed, seed + count):
        rng = np.random.default_rng(episode_seed)
        fast.reset(seed=episode_seed)
        generator, _ = gymnasium.utils.seeding.np_random(episode_seed)
        joints = generator.uniform(-0.1, 0.1, 17).tolist()
        actions = []
        done = False
        while not done:
            action = rng.uniform(-scale, scale, 17).astype(np.float32)
            actions.append(action)
            _, _, terminated, truncated, _ = fast.step(action)
            done = terminated or truncated
        torques = [fast.torques(action) for action in actions]
        episodes.append(Episode(episode_seed, joints, actions, torques))
    return episodes


def player(env: gymnasium.Env) -> Callable[[Episode], None]:
    """Return a function that plays an episode with an environment."""

    def play(episode: Episode) -> None:
        env.reset(seed=episode.seed)
        for action in episode.actions:
            env.step(action)

    return play


def replayer(fast: FastHumanoidBullet) -> Callable[[Episode], None]:
    """Return a function that replays an episode in the fast environment's world."""

    def replay(episode: Episode) -> None:
        fast.reset_physics(episode.joints)
        for torques in episode.torques:
            fast.step_physics(torques)

    return replay


def reference_replayer(world: HumanoidBulletEnv) -> Callable[[Episode], None]:
    """Return a function that replays an episode in a reference environment's world."""
    world.reset(seed=0)
    client, (body,) = world.physicsClientId, world.robot.objects
    joints = [joint.jointIndex for joint in world.robot.ordered_joints]
    speeds = [[0.0]] * len(joints)

    def replay(episode: Episode) -> None:
        pybullet.restoreState(world.stateId, physicsClientId=client)
        angles = [[angle] for angle in episode.joints]
        pybullet.resetJointStatesMultiDof(body, joints, angles, speeds, client)
        for torques in episode.torques:
            pybullet.setJointMotorControlArray(
                body,
                joints,
                pybullet.TORQUE_CONTROL,
                forces=torques,
                physicsClientId=client,
            )
            pybullet.stepSimulation(client)

    return replay


def measure(
    contestants: dict[str, Callable[[Episode], None]],
    episodes: list[Episode],
    repeats: int,
) -> dict[str, list[float]]:
    """Return seconds for all episodes, per contestant and repeat.

    The contestants take turns of a few episodes, so that the ratios within a repeat
    hardly depend on whatever else the machine does.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        totals = dict.fromkeys(contestants, 0.0)
        for first in range(0, len(episodes), TURN):
            for name, play in contestants.items():
                start = time.perf_counter()
                for episode in episodes[first : first + TURN]:
                    play(episode)
                totals[name] += time.perf_counter() - start
        for name, total in totals.items():
            seconds[name].append(total)
    return seconds


def report(seconds: dict[str, list[float]], steps: int) -> str:
    """Return a table of steps per second and of ratios to the limit."""
    lines = [
        f"{'':33}{'steps/s':>8}{'min':>8}{'max':>8}{'/ limit':>9}{'min':>7}{'max':>7}"
    ]
    for name, times in seconds.items():
        rates = [steps / total for total in times]
        ratios = [
            limit / total for limit, total in zip(seconds[LIMIT], times, strict=True)
        ]
        lines.append(
            f"{name:33}{statistics.median(rates):8.0f}{min(rates):8.0f}{max(rates):8.0f}"
            f"{statistics.median(ratios):9.2f}{min(ratios):7.2f}{max(ratios):7.2f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--episodes", type=int, default=60, help="number of episodes (default 60)"
    )
    parser.add_argument(
        "--repeats", type=int, default=7, help="times to play them (default 7)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the first episode (default 0)"
    )
    parser.add_argument(
        "--scale",
        type=float,
        default=0.3,
        help="largest torque as a fraction of a motor's strongest (default 0.3)",
    )
    args = parser.parse_args()
    if args.episodes < 1 or args.repeats < 1:
        parser.error("--episodes and --repeats must be at least 1")

    fast = FastHumanoidBullet()
    episodes = record(fast, args.episodes, args.seed, args.scale)
    steps = sum(len(episode.actions) for episode in episodes)
    contestants = {
        "reference environment": player(HumanoidBulletEnv()),
        "fast environment": player(fast),
        LIMIT: reference_replayer(HumanoidBulletEnv()),
        "physics of the fast environment": replayer(fast),
    }
    for play in contestants.values():
        play(episodes[0])
    seconds = measure(contestants, episodes, args.repeats)
    print(f"{args.episodes} episodes, {steps} steps, {args.repeats} repeats")
    print(report(seconds, steps))


if __name__ == "__main__":
    main()
