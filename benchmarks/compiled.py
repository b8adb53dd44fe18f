"""Speed of compiled environments against POSGGym's own `env.step`, on one core.

Kinds
-----
linear, lstm
    Training rollouts: for each agent the processed and normalised observation, its
    statistics and the network, then the world's step. A linear policy, or a layer of 32
    and an LSTM of 16. POSGGym replays the joint actions of the same episodes in one
    environment; steps and returns must agree.
vector
    1,024 environments of the vector interface with random actions. POSGGym's
    environment plays the same actions of some of them; rewards must agree.
first-use
    Seconds of the first call of the rollout kernel in a process: with an empty cache,
    which compiles it, and in a later process, which finds it on disk.

Both sides take turns; a ratio is the median of those of several turns. Times are the
process's own CPU time, so other work on the machine disturbs them little. POSGGym's
environments are made without the passive checker. "Episodes" compares whole episodes,
with the resets on both sides. "Steps" leaves out POSGGym's resets, but not those of the
compiled side.

Example
-------
    python benchmarks/compiled.py --kind linear --env Driving-v1 UAV-v0
"""

from __future__ import annotations

import argparse
import concurrent.futures
import csv
import dataclasses
import multiprocessing
import os
import pathlib
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
import posggym

from pgpelib.policies.networks import Network, fold_normalization
from pgpelib.policies.policy import Architecture as TrainerArchitecture
from pgpelib.tasks.gymnasium_task import action_spec
from posggym_compiled.interface import MODULES, Discrete, World, world_for
from posggym_compiled.networks import Architecture
from posggym_compiled.partners.kinds import Opponent
from posggym_compiled.rollouts import Players
from posggym_compiled.vector import VectorEnv
from posggym_es.tasks.posggym_task import (
    derived_action_processor,
    derived_processor,
    make_processor,
)

LAYERS: dict[str, dict[str, Any]] = {
    "linear": {},
    "lstm": {"hidden": (32,), "lstm_size": 16},
}
SECONDS = 0.4
"""Approximate duration of each side's turn."""
NUM_ENVS = 1024
MAX_STEPS = 100
"""Length of an episode where POSGGym has no limit."""


@dataclasses.dataclass(frozen=True)
class Rates:
    """Joint steps/s of a turn.

    Parameters
    ----------
    compiled
        Of the compiled side.
    episodes, steps
        Of POSGGym's side, with its resets and without.
    """

    compiled: float
    episodes: float
    steps: float


@dataclasses.dataclass
class Stopwatch:
    """Seconds that POSGGym's environment took.

    Parameters
    ----------
    resets, steps
        Seconds in resets and in steps.
    """

    resets: float = 0.0
    steps: float = 0.0

    def rates(self, compiled: float, steps: int) -> Rates:
        """Return the rates of a turn with a number of steps."""
        return Rates(compiled, steps / (self.resets + self.steps), steps / self.steps)


class Reference:
    """POSGGym's environment, created again where episodes depend on earlier ones.

    Parameters
    ----------
    env_id
        POSGGym's id.
    """

    def __init__(self, env_id: str) -> None:
        # Chipmunk keeps contacts from one episode to the next.
        self.keeps_history = ".continuous." in MODULES[env_id]
        self._env: Any = None
        self._env_id = env_id

    def env(self) -> Any:
        """Return an environment that is ready for an episode."""
        if self._env is None or self.keeps_history:
            self.close()
            self._env = posggym.make(self._env_id, disable_env_checker=True)
        return self._env

    def close(self) -> None:
        """Close the environment."""
        if self._env is not None:
            self._env.close()


def replay(env: Any, seed: int, episode: list[Any], watch: Stopwatch) -> float:
    """Play joint actions and return the sum of all rewards."""
    total = 0.0
    before = time.process_time()
    env.reset(seed=seed)
    began = time.process_time()
    for actions in episode:
        total += sum(env.step(actions)[1].values())
    watch.resets += began - before
    watch.steps += time.process_time() - began
    return total


class Cast:
    """The networks that play a world, the learner's first.

    The learner plays all agents that are alike. Where they are not, it plays the first
    agent, and a network of the same layers plays each of the others.

    Parameters
    ----------
    world
        World.
    layers
        Sizes of the layers, see `Architecture`.
    """

    def __init__(self, world: World, layers: dict[str, Any]) -> None:
        self.rng = np.random.default_rng(0)
        self.world = world
        count = 1 if world.is_symmetric else world.num_agents
        self.architectures = [
            Architecture(
                world.observations[agent].size, action_size(world, agent), **layers
            )
            for agent in range(count)
        ]
        own = self.architectures[0].observation_size
        self.norm = self.rng.uniform(0.0, 1.0, own), self.rng.uniform(0.5, 2.0, own)
        self.opponents = [
            Opponent(
                architecture, self.rng.standard_normal(architecture.num_parameters)
            )
            for architecture in self.architectures[1:]
        ]
        self.players = Players(world, self.architectures[0], self.opponents)

    def numbers(self, *shape: int) -> Any:
        """Return which network plays each agent, shape (*shape, num_agents)."""
        count = self.world.num_agents
        numbers = np.zeros(count) if self.world.is_symmetric else np.arange(count)
        return np.broadcast_to(numbers.astype(np.int64), (*shape, count))

    def solutions(self, count: int) -> Any:
        """Return random parameters of a number of learners."""
        return self.rng.standard_normal((count, self.architectures[0].num_parameters))

    def networks(self, solution: Any) -> list[Network]:
        """Return the trainer's own network of each agent."""

        def layers(number: int, parameters: Any) -> Any:
            sizes = dataclasses.asdict(self.architectures[number])
            return TrainerArchitecture(**sizes).layers(parameters)

        parts = [fold_normalization(layers(0, solution), *self.norm)]
        parts += [layers(n, o.parameters) for n, o in enumerate(self.opponents, 1)]
        activation = self.architectures[0].activation
        return [Network(parts[n], activation) for n in self.numbers()]


def rollouts(env_id: str, kind: str, args: argparse.Namespace) -> list[Rates]:
    """Return the rates of training rollouts."""
    world = world_for(env_id)
    cast = Cast(world, LAYERS[kind])
    solutions = cast.solutions(args.solutions)
    reference = Reference(env_id)
    # POSGGym needs seconds for a few episodes of its continuous environments.
    shape = args.solutions, args.episodes or (1 if reference.keeps_history else 16)
    seeds = np.arange(np.prod(shape), dtype=np.uint64).reshape(shape)
    if args.common_seeds:
        seeds[:] = seeds[0]
    seats = [Seat(reference.env(), agent) for agent in world.agents]
    episodes = [
        (int(seed), record(reference.env(), seats, cast.networks(solution), int(seed)))
        for solution, row in zip(solutions, seeds, strict=True)
        for seed in row
    ]
    steps = sum(len(actions) for _, actions in episodes)

    def play(times: int) -> tuple[float, float]:
        """Return the seconds of some rounds, and the sum of a round's rewards."""
        batch = np.tile(solutions, (times, 1)), np.tile(seeds, (times, 1))
        numbers = cast.numbers(*batch[1].shape)
        mean, stdev = cast.norm
        started = time.process_time()
        outcomes = cast.players.play(
            *batch, mean=mean, stdev=stdev, cast=numbers, max_steps=MAX_STEPS
        )
        seconds = time.process_time() - started
        if outcomes.steps.sum() != steps * times:
            raise RuntimeError(f"{env_id}: other episodes than POSGGym's")
        return seconds, float(outcomes.returns[: args.solutions].sum())

    # The first call compiles.
    play(1)
    times = max(1, int(SECONDS / play(1)[0]))
    rates = []
    for _ in range(args.repeats):
        seconds, total = play(times)
        watch = Stopwatch()
        own = sum(replay(reference.env(), *episode, watch) for episode in episodes)
        if not np.isclose(total, own):
            raise RuntimeError(f"{env_id}: returns {total}, POSGGym's {own}")
        rates.append(watch.rates(steps * times / seconds, steps))
    reference.close()
    return rates


class Seat:
    """POSGGym's processors of an agent, as training uses them."""

    def __init__(self, env: Any, agent: str) -> None:
        spaces = env.observation_spaces[agent], env.action_spaces[agent]
        self.process = make_processor(derived_processor(spaces[0]), spaces[0])
        self._action = make_processor(derived_action_processor(spaces[1]), spaces[1])
        processed = self._action.get_processed_space()
        self._decode = action_spec(processed, env.spec.id).decode

    def action(self, outputs: Any) -> Any:
        """Return the action for a network's outputs."""
        return self._action.unprocess(self._decode(outputs))


def record(
    env: Any, seats: list[Seat], networks: list[Network], seed: int
) -> list[dict[str, Any]]:
    """Return the joint actions of an episode in POSGGym's environment."""
    acts = [network.start() for network in networks]
    observations, _ = env.reset(seed=seed)
    joint_actions: list[dict[str, Any]] = []
    done = False
    while not done and len(joint_actions) < MAX_STEPS:
        actions = {
            agent: seat.action(act(np.float64(seat.process(observations[agent]))))
            for agent, seat, act in zip(env.agents, seats, acts, strict=True)
        }
        joint_actions.append(actions)
        observations, _, _, _, done, _ = env.step(actions)
    return joint_actions


def action_size(world: World, agent: int) -> int:
    """Return the length of a network's output."""
    spec = world.actions[agent]
    return spec.n if isinstance(spec, Discrete) else spec.size


def vector(env_id: str, kind: str, args: argparse.Namespace) -> list[Rates]:
    """Return the rates of the vector interface."""
    del kind
    world = world_for(env_id)
    reference = Reference(env_id)
    envs = VectorEnv(world, NUM_ENVS)
    joint = random_actions(world, args.vector_steps)
    rates = []
    # The first turn compiles.
    for turn in range(1 + args.repeats):
        envs.reset(seed=0)
        totals = np.zeros(NUM_ENVS)
        seconds = 0.0
        for actions in joint:
            started = time.process_time()
            _, rewards, *_ = envs.step(actions)
            seconds += time.process_time() - started
            totals += sum(rewards.values())
        watch, played = Stopwatch(), 0
        while watch.steps < SECONDS and played < NUM_ENVS:
            own = replay_with_resets(reference.env(), joint, played, watch)
            if not (reference.keeps_history or np.isclose(totals[played], own)):
                raise RuntimeError(f"{env_id}: rewards {totals[played]}, not {own}")
            played += 1
        if turn:
            compiled = NUM_ENVS * len(joint) / seconds
            rates.append(watch.rates(compiled, played * len(joint)))
    reference.close()
    return rates


def random_actions(world: World, steps: int) -> list[dict[str, Any]]:
    """Return joint actions for all environments, as `VectorEnv.step` takes them."""
    rng = np.random.default_rng(0)

    def draw(spec: Any) -> Any:
        if isinstance(spec, Discrete):
            return rng.integers(spec.n, size=NUM_ENVS)
        shape = NUM_ENVS, spec.size
        return rng.uniform(spec.low, spec.high, shape).astype(spec.low.dtype)

    agents = world.agents, world.actions
    return [
        {agent: draw(spec) for agent, spec in zip(*agents, strict=True)}
        for _ in range(steps)
    ]


def replay_with_resets(env: Any, joint: Any, number: int, watch: Stopwatch) -> float:
    """Play one environment's actions and return the sum of all rewards."""
    own = [{i: plain(a[number]) for i, a in actions.items()} for actions in joint]
    total, resets = 0.0, 0.0
    began = time.process_time()
    env.reset(seed=number)
    resets += time.process_time() - began
    for actions in own:
        _, rewards, _, _, done, _ = env.step(actions)
        total += sum(rewards.values())
        if done:
            before = time.process_time()
            env.reset()
            resets += time.process_time() - before
    watch.resets += resets
    watch.steps += time.process_time() - began - resets
    return total


def plain(action: Any) -> Any:
    """Return a Discrete action as a Python integer, and a Box as it is."""
    return int(action) if np.ndim(action) == 0 else action


def first_use(env_id: str, kind: str) -> float:
    """Return the seconds of this process's first call of the rollout kernel."""
    world = world_for(env_id)
    cast = Cast(world, LAYERS[kind])
    solutions, seeds = cast.solutions(1), np.zeros((1, 1), np.uint64)
    started = time.process_time()
    cast.players.play(solutions, seeds, cast=cast.numbers(1, 1), max_steps=1)
    return time.process_time() - started


def first_uses(env_id: str) -> tuple[float, float]:
    """Return the seconds in a process that compiles, and in one after it."""
    spawn = multiprocessing.get_context("spawn")
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder
        for _ in range(2):
            with concurrent.futures.ProcessPoolExecutor(1, spawn) as process:
                seconds.append(process.submit(first_use, env_id, "linear").result())
        del os.environ["NUMBA_CACHE_DIR"]
    return seconds[0], seconds[1]


Row = dict[str, str]


def rates_row(env_id: str, rates: list[Rates]) -> Row:
    """Return an environment's row of the table."""

    def median(value: Callable[[Rates], float]) -> float:
        return statistics.median(map(value, rates))

    return {
        "Environment": env_id,
        "Compiled, joint steps/s": f"{median(lambda r: r.compiled):,.0f}",
        "POSGGym's episodes": f"{median(lambda r: r.episodes):,.0f}",
        "POSGGym's steps": f"{median(lambda r: r.steps):,.0f}",
        "Ratio, episodes": f"{median(lambda r: r.compiled / r.episodes):.1f}",
        "Ratio, steps": f"{median(lambda r: r.compiled / r.steps):.1f}",
    }


def first_use_row(env_id: str) -> Row:
    """Return an environment's row of the table of first uses."""
    compiling, loading = first_uses(env_id)
    return {
        "Environment": env_id,
        "Compiling, s": f"{compiling:.1f}",
        "Later processes, s": f"{loading:.2f}",
    }


def markdown(rows: list[Row]) -> str:
    """Return a table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(r.values()) for r in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def setting() -> str:
    """Return a line about the measurement and the machine."""
    packages = ("posggym", "numba", "numpy", "pymunk")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    python = f"Python {platform.python_version()}"
    command = " ".join(["python benchmarks/compiled.py", *sys.argv[1:]])
    return f"`{command}`; {processor()}, one core; {python}, {versions}."


def processor() -> str:
    """Return the name of the processor."""
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds = ("linear", "lstm", "vector", "first-use")
    parser.add_argument("--kind", choices=kinds, default="linear")
    parser.add_argument("--env", nargs="+", choices=sorted(MODULES), metavar="ID")
    parser.add_argument("--solutions", type=int, default=4)
    parser.add_argument(
        "--episodes",
        type=int,
        help="episodes of each solution (default: 16, in continuous environments 1)",
    )
    parser.add_argument(
        "--common-seeds",
        action="store_true",
        help="all solutions play the same episodes (default: each its own)",
    )
    parser.add_argument("--vector-steps", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="few episodes, two turns: a smoke test"
    )
    parser.add_argument("--markdown", type=pathlib.Path, help="write the table here")
    parser.add_argument("--csv", type=pathlib.Path, help="write the figures here")
    args = parser.parse_args()
    if args.quick:
        args.solutions, args.episodes, args.repeats = 2, 2, 2
        args.vector_steps = 20
    rows = []
    for env_id in args.env or MODULES:
        if args.kind == "first-use":
            rows.append(first_use_row(env_id))
        else:
            measure = vector if args.kind == "vector" else rollouts
            rows.append(rates_row(env_id, measure(env_id, args.kind, args)))
        print("  ".join(f"{k}: {v}" for k, v in rows[-1].items()), flush=True)
    print("\n" + (table := markdown(rows)) + "\n" + setting())
    if args.markdown:
        args.markdown.write_text(table + "\n" + setting() + "\n")
    if args.csv:
        with args.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
