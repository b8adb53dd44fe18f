"""Whole episodes in one call: worlds, observations, networks and their statistics."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import overload

from posggym_compiled.interface import (
    Dense,
    Discrete,
    Floats,
    Integers,
    UnsupportedError,
    World,
    observe,
    reset,
    seed,
    step,
)
from posggym_compiled.jit import LEAN, lean_helper, lean_kernel
from posggym_compiled.networks import (
    Architecture,
    Plan,
    Vector,
    forward,
    make_plan,
    memory_for,
    pack,
    packed_weights,
    scratch_for,
)

Seeds = npt.NDArray[np.uint64]
# The processors of trained networks rescale to this range.
LOW, HIGH = -1.0, 1.0


class Rescaling(NamedTuple):
    """What rescales bounded Boxes, for kernels.

    Parameters
    ----------
    low, high
        Shape (agents, size): bounds of the Box, in its dtype. Shape (agents, 0) for
        spaces that are left as they are.
    factor
        Of the same shape: width of [-1, 1] over that of the Box.
    """

    low: Floats
    high: Floats
    factor: Floats


class Networks(NamedTuple):
    """Networks that play, the learner's first.

    Parameters
    ----------
    plan
        Their layers.
    packed
        Shape (networks, rows, 8).
    mean, stdev
        Observation normalisation of the learner, shape (observation_size,) or (0,).
    """

    plan: Plan
    packed: Vector
    mean: Vector
    stdev: Vector


class Outcomes(NamedTuple):
    """What n solutions did in m episodes each.

    Parameters
    ----------
    fitness
        Shape (n, m): return, mean over the agents that the solution played, reduced by
        `decrease_rewards_by` in each step.
    steps
        Shape (n, m): joint steps.
    returns
        Shape (n, m, num_agents).
    counts
        Shape (n,): observations that a solution saw; shape (0,) without statistics,
        and so on.
    sums, sumsqs
        Shape (n, observation_size): sums of what it saw, and of the squares. They are
        the same for one-hot observations, and the same array.
    """

    fitness: Vector
    steps: Integers
    returns: Vector
    counts: Integers
    sums: Vector
    sumsqs: Vector


@dataclasses.dataclass(frozen=True, eq=False)
class Opponent:
    """A network that plays with the learner.

    Parameters
    ----------
    architecture
        Its layers.
    parameters
        Shape (num_parameters,), with the observation normalisation folded in.
    """

    architecture: Architecture
    parameters: Vector


def no_rescaling(agents: int) -> Rescaling:
    """Return what leaves all values as they are."""
    empty = np.zeros((agents, 0), np.float32)
    return Rescaling(empty, empty, empty)


def rescaling(specs: Sequence[Any]) -> Rescaling:
    """Return what rescales spaces.

    Raises
    ------
    UnsupportedError
        If the spaces of some agents are rescaled and those of others are not.
    """
    rescaled = [isinstance(spec, Dense) and spec.is_rescaled for spec in specs]
    if not any(rescaled):
        return no_rescaling(len(specs))
    if not all(rescaled):
        raise UnsupportedError("Boxes with bounds for some agents only")
    low = np.stack([spec.low for spec in specs])
    high = np.stack([spec.high for spec in specs])
    return Rescaling(low, high, ((HIGH - LOW) / (high - low)).astype(low.dtype))


class Players:
    """Plays episodes of a world with networks.

    Parameters
    ----------
    world
        World.
    architecture
        The learner's network.
    opponents
        Networks of agents that the learner does not play.

    Raises
    ------
    ValueError
        If a network does not fit the world.
    """

    def __init__(
        self,
        world: World,
        architecture: Architecture,
        opponents: Sequence[Opponent] = (),
    ) -> None:
        self.world = world
        self.architecture = architecture
        plan = make_plan([architecture, *(o.architecture for o in opponents)])
        none = np.zeros(0)
        self._networks = Networks(plan, packed_weights(plan), none, none)
        for number, opponent in enumerate(opponents, 1):
            packed = self._networks.packed[number]
            parameters = np.ascontiguousarray(opponent.parameters, np.float64)
            pack(plan, number, parameters, none, none, packed)
        self._sizes = [architecture, *(o.architecture for o in opponents)]
        self._seen = rescaling(world.observations)
        self._done = rescaling(world.actions)
        self._state = world.make_state(1)
        self._memory = memory_for(plan, world.num_agents)
        self._scratch = scratch_for(plan)
        self._lengths = np.array([spec.length for spec in world.observations])
        self._num_outputs = np.array(
            [
                spec.n if isinstance(spec, Discrete) else spec.size
                for spec in world.actions
            ]
        )

    def play(
        self,
        solutions: Vector,
        seeds: Seeds,
        *,
        mean: Vector | None = None,
        stdev: Vector | None = None,
        cast: Integers | None = None,
        max_steps: int | None = None,
        decrease_rewards_by: float = 0.0,
        statistics: bool = True,
    ) -> Outcomes:
        """Play m episodes with each of n solutions.

        Parameters
        ----------
        solutions
            Shape (n, num_parameters): parameters of the learner's network.
        seeds
            Shape (n, m): seeds of the episodes.
        mean, stdev
            Shape (observation_size,): the learner sees `(x - mean) / stdev`.
        cast
            Shape (n, m, num_agents): which network plays each agent, 0 for the
            learner; None if the learner plays all of them.
        max_steps
            Stop episodes after so many steps, if POSGGym does not before. Required if
            the world has no time limit.
        decrease_rewards_by
            Subtracted from the rewards of each step of the learner's agents.
        statistics
            Whether to sum up what the learner sees.

        Raises
        ------
        ValueError
            If shapes do not fit, or episodes might never end.
        """
        n, m = seeds.shape
        agents = self.world.num_agents
        if cast is None:
            cast = np.zeros((n, m, agents), np.int64)
        self._check(solutions, seeds, cast)
        limits = [limit for limit in (max_steps, self.world.max_episode_steps) if limit]
        if not limits:
            raise ValueError(
                f"{self.world.env_id} has no time limit; set max_steps or the "
                "argument max_episode_steps of the world"
            )
        size = self.architecture.observation_size
        seen = n if statistics else 0
        sums = np.zeros((seen, size))
        one_hot = not isinstance(self.world.observations[0], Dense)
        outcomes = Outcomes(
            fitness=np.zeros((n, m)),
            steps=np.zeros((n, m), np.int64),
            returns=np.zeros((n, m, agents)),
            counts=np.zeros(seen, np.int64),
            sums=sums,
            sumsqs=sums if one_hot else np.zeros((seen, size)),
        )
        none = np.zeros(0)
        networks = self._networks._replace(
            mean=none if mean is None else np.ascontiguousarray(mean, np.float64),
            stdev=none if stdev is None else np.ascontiguousarray(stdev, np.float64),
        )
        _play(
            self.world.params,
            self._state,
            networks,
            np.ascontiguousarray(solutions, np.float64),
            np.ascontiguousarray(seeds, np.uint64),
            np.ascontiguousarray(cast, np.int64),
            (self._seen, self._done, self._lengths, self._num_outputs),
            (self._memory, self._scratch),
            (
                self.world.observation_buffer(),
                self.world.action_buffer(),
                np.zeros(agents),
                np.zeros(agents, np.bool_),
            ),
            (min(limits), float(decrease_rewards_by)),
            outcomes,
        )
        return outcomes

    def _check(self, solutions: Vector, seeds: Seeds, cast: Integers) -> None:
        shape = len(seeds), self.architecture.num_parameters
        if solutions.shape != shape:
            raise ValueError(f"solutions of shape {solutions.shape}, not {shape}")
        if cast.shape != (*seeds.shape, self.world.num_agents):
            raise ValueError(f"a cast of shape {cast.shape} for seeds {seeds.shape}")
        for agent, spec in enumerate(self.world.observations):
            for number in np.unique(cast[:, :, agent]):
                network = self._sizes[number]
                sizes = network.observation_size, network.output_size
                wanted = spec.size, int(self._num_outputs[agent])
                if sizes != wanted:
                    raise ValueError(
                        f"network {number} has {sizes} inputs and outputs; agent "
                        f"{self.world.agents[agent]} needs {wanted}"
                    )


# --- what depends on the kind of spaces -----------------------------------------------


def process(scaling: Rescaling, agent: int, x: Any) -> None:
    """Process an observation in place."""
    raise NotImplementedError("compiled code only")


def decode(scaling: Rescaling, outputs: Vector, n: int, agent: int, out: Any) -> None:
    """Write the action of an agent for a network's outputs."""
    raise NotImplementedError("compiled code only")


def _record(x: Any, sums: Vector, sumsqs: Vector) -> None:
    """Add an observation to statistics."""
    raise NotImplementedError("compiled code only")


def _is_integer(array: Any) -> bool:
    return isinstance(array.dtype, numba.types.Integer)


@overload(process, strict=False, jit_options=LEAN)
def _process_kind(scaling: Any, agent: Any, x: Any) -> Any:
    def leave(scaling: Rescaling, agent: int, x: Any) -> None:
        pass

    def rescale(scaling: Rescaling, agent: int, x: Any) -> None:
        low, high = scaling.low[agent], scaling.high[agent]
        factor = scaling.factor[agent]
        # As the RescaleProcessor computes, in the dtype of the Box.
        for i in range(len(low)):
            value = min(max(low.dtype.type(x[i]), low[i]), high[i])
            x[i] = (value - low[i]) * factor[i] + low.dtype.type(LOW)

    return leave if _is_integer(x) else rescale


@overload(decode, strict=False, jit_options=LEAN)
def _decode_kind(scaling: Any, outputs: Any, n: Any, agent: Any, out: Any) -> Any:
    def argmax(
        scaling: Rescaling, outputs: Vector, n: int, agent: int, out: Any
    ) -> None:
        best = 0
        for i in range(1, n):
            if outputs[i] > outputs[best]:
                best = i
        out[agent] = best

    def unscale(
        scaling: Rescaling, outputs: Vector, n: int, agent: int, out: Any
    ) -> None:
        low, high = scaling.low[agent], scaling.high[agent]
        for i in range(n):
            value = min(max(outputs[i], LOW), HIGH)
            value = (value - LOW) / scaling.factor[agent, i] + low[i]
            out[agent, i] = min(max(value, low[i]), high[i])

    return argmax if _is_integer(out) else unscale


@overload(_record, strict=False, jit_options=LEAN)
def _record_kind(x: Any, sums: Any, sumsqs: Any) -> Any:
    def ones(x: Any, sums: Vector, sumsqs: Vector) -> None:
        for k in range(len(x)):
            sums[x[k]] += 1.0

    def values(x: Any, sums: Vector, sumsqs: Vector) -> None:
        for i in range(len(x)):
            sums[i] += x[i]
            sumsqs[i] += x[i] * x[i]

    return ones if _is_integer(x) else values


# --- playing --------------------------------------------------------------------------


@lean_helper
def _episode(
    params: Any,
    state: Any,
    networks: Networks,
    cast: Integers,
    spaces: Any,
    memories: Any,
    buffers: Any,
    rules: Any,
    outcomes: Any,
    n: int,
    m: int,
) -> None:
    """Play the episode that environment 0 has begun."""
    seen, done, lengths, num_outputs = spaces
    memory, scratch = memories
    observation, actions, rewards, terminated = buffers
    max_steps, decrease = rules
    agents = len(rewards)
    own = 0
    for agent in range(agents):
        own += cast[agent] == 0
    total, steps, over = 0.0, 0, False
    memory[:] = 0.0
    while not over:
        for agent in range(agents):
            x = observation[: lengths[agent]]
            observe(params, state, 0, agent, x)
            process(seen, agent, x)
            network = cast[agent]
            if network == 0 and len(outcomes.counts):
                outcomes.counts[n] += 1
                _record(x, outcomes.sums[n], outcomes.sumsqs[n])
            into = forward(
                networks.plan,
                network,
                networks.packed[network],
                x,
                memory[agent],
                scratch,
            )
            outputs = scratch[into].reshape(-1)
            decode(done, outputs, num_outputs[agent], agent, actions)
        over = step(params, state, 0, actions, rewards, terminated)
        mine = 0.0
        for agent in range(agents):
            outcomes.returns[n, m, agent] += rewards[agent]
            if cast[agent] == 0:
                mine += rewards[agent]
        total += mine - decrease * own
        steps += 1
        over = over or steps == max_steps
    outcomes.fitness[n, m] = total / own
    outcomes.steps[n, m] = steps


@lean_kernel
def _play(
    params: Any,
    state: Any,
    networks: Networks,
    solutions: Vector,
    seeds: Seeds,
    cast: Integers,
    spaces: Any,
    memories: Any,
    buffers: Any,
    rules: Any,
    outcomes: Any,
) -> None:
    for n in range(len(seeds)):
        pack(
            networks.plan,
            0,
            solutions[n],
            networks.mean,
            networks.stdev,
            networks.packed[0],
        )
        for m in range(seeds.shape[1]):
            seed(params, state, 0, seeds[n, m])
            reset(params, state, 0)
            _episode(
                params,
                state,
                networks,
                cast[n, m],
                spaces,
                memories,
                buffers,
                rules,
                outcomes,
                n,
                m,
            )
