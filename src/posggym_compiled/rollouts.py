"""Whole episodes in one call: worlds, observations, networks and their statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.extending import overload

from posggym_compiled.interface import (
    Dense,
    Discrete,
    Integers,
    World,
    observe,
    reset,
    seed,
    step,
)
from posggym_compiled.jit import INLINED, inlined_helper, lean_helper, lean_kernel
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
from posggym_compiled.partners.kinds import (
    GREEDY,
    HEURISTIC,
    MEMORY,
    SAMPLED,
    UNIFORM,
    Opponent,
    Partner,
    Roster,
    SampledNetwork,
    choose,
    make_roster,
    networks_of,
)
from posggym_compiled.partners.tables import tables_for
from posggym_compiled.processing import (
    decode,
    draw,
    is_integer,
    process,
    rescaling,
    sample,
    set_action,
)
from posggym_compiled.random import numpy_random, python_random
from posggym_compiled.random.seeding import (
    Generators,
    make_generators,
    seed_generators,
)
from posggym_compiled.random.splitmix import splitmix64

Seeds = npt.NDArray[np.uint64]
# Generators that are seeded at a time; they fit into the processor's cache.
WINDOW = 256
_splitmix64 = inlined_helper(splitmix64)


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


class PartnerStates(NamedTuple):
    """Partners, and what they keep during an episode, for kernels.

    Parameters
    ----------
    roster
        All players.
    numpy_rngs, python_rngs
        A generator for each agent: uint64 (agents, 6) and uint32 (agents, 625).
    memory
        int64 (agents, 8): what heuristics remember.
    """

    roster: Roster
    numpy_rngs: numpy_random.Words
    python_rngs: python_random.Words
    memory: Integers


class Players:
    """Plays episodes of a world with a learner and others.

    Parameters
    ----------
    world
        World.
    architecture
        The learner's network; None if nobody learns.
    partners
        Who plays the agents that the learner does not play, numbered from 1. Those that
        draw by chance begin with the seed of each episode.
    stochastic
        Whether the learner draws its actions, which must be discrete.

    Raises
    ------
    ValueError
        If a network does not fit the world, and `UnsupportedError` if a heuristic is
        not one of the world's.
    """

    def __init__(
        self,
        world: World,
        architecture: Architecture | None,
        partners: Sequence[Partner] = (),
        *,
        stochastic: bool = False,
    ) -> None:
        self.world = world
        # Somebody must be number 0.
        self.architecture = architecture or Architecture(1, 1)
        self.partners = [None, *partners]
        opponents = networks_of(partners)
        plan = make_plan([self.architecture, *(o.architecture for o in opponents)])
        none = np.zeros(0)
        self._networks = Networks(plan, packed_weights(plan), none, none)
        for number, opponent in enumerate(opponents, 1):
            packed = self._networks.packed[number]
            parameters = np.ascontiguousarray(opponent.parameters, np.float64)
            pack(plan, number, parameters, none, none, packed)
        agents = world.num_agents
        self._partner_states = PartnerStates(
            make_roster(partners, tables_for(world, partners), stochastic),
            np.zeros((agents, numpy_random.SIZE), np.uint64),
            np.zeros((agents, python_random.SIZE), np.uint32),
            np.zeros((agents, MEMORY), np.int64),
        )
        self._seen = rescaling(world.observations)
        self._done = rescaling(world.actions)
        self._state = world.make_state(1)
        self._memory = memory_for(plan, agents)
        self._scratch = scratch_for(plan)
        self._generators = make_generators(WINDOW)
        self._lengths = np.array([spec.length for spec in world.observations])
        self._num_outputs = np.array(
            [
                spec.n if isinstance(spec, Discrete) else spec.size
                for spec in world.actions
            ]
        )

    def play_partners(
        self, seeds: Seeds, cast: Integers, max_steps: int | None = None
    ) -> Outcomes:
        """Play episodes of partners alone.

        Parameters
        ----------
        seeds
            Shape (m,).
        cast
            Shape (m, num_agents): numbers of partners.
        max_steps
            See `play`.

        Returns
        -------
        Outcomes
            Of m episodes of one solution, without a fitness or statistics.
        """
        if (cast == 0).any():
            raise ValueError("the learner is in a cast of partners")
        nobody = np.zeros((1, self.architecture.num_parameters))
        return self.play(
            nobody, seeds[None], cast=cast[None], max_steps=max_steps, statistics=False
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
            Shape (n, m, num_agents): who plays each agent, 0 for the learner or the
            number of a partner; None if the learner plays all of them.
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
            self._generators,
            np.ascontiguousarray(cast, np.int64),
            self._partner_states,
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
        for agent in range(self.world.num_agents):
            for number in np.unique(cast[:, :, agent]):
                self._check_player(int(number), agent)

    def _check_player(self, number: int, agent: int) -> None:
        """Refuse a network that does not fit an agent."""
        partner = self.partners[number]
        outputs = int(self._num_outputs[agent])
        if partner is None:
            network = self.architecture
        elif isinstance(partner, Opponent | SampledNetwork):
            network = partner.architecture
            box = not isinstance(self.world.actions[agent], Discrete)
            if isinstance(partner, SampledNetwork) and box:
                outputs *= 2
        else:
            return
        sizes = network.observation_size, network.output_size
        wanted = self.world.observations[agent].size, outputs
        if sizes != wanted:
            raise ValueError(
                f"network {number} has {sizes} inputs and outputs; agent "
                f"{self.world.agents[agent]} needs {wanted}"
            )


# --- statistics -----------------------------------------------------------------------


def _record(x: Any, sums: Vector, sumsqs: Vector) -> None:
    """Add an observation to statistics."""
    raise NotImplementedError("compiled code only")


@overload(_record, strict=False, jit_options=INLINED)
def _record_kind(x: Any, sums: Any, sumsqs: Any) -> Any:
    def ones(x: Any, sums: Vector, sumsqs: Vector) -> None:
        for k in range(len(x)):
            sums[x[k]] += 1.0

    def values(x: Any, sums: Vector, sumsqs: Vector) -> None:
        for i in range(len(x)):
            sums[i] += x[i]
            sumsqs[i] += x[i] * x[i]

    return ones if is_integer(x) else values


# --- playing --------------------------------------------------------------------------


@lean_helper
def _begin(
    partners: PartnerStates,
    cast: Integers,
    value: np.uint64,
    memory: Vector,
) -> None:
    """Make the players ready for an episode.

    Parameters
    ----------
    partners
        Written.
    cast
        Shape (agents,): who plays.
    value
        Seed of the episode.
    memory
        Of the networks, written.
    """
    memory[:] = 0.0
    for agent in range(len(cast)):
        kind = partners.roster.kinds[cast[agent]]
        own = _splitmix64(np.uint64(value), np.uint64(agent))
        if kind in (SAMPLED, UNIFORM):
            numpy_random.seed_numpy(partners.numpy_rngs[agent], own)
        elif kind == HEURISTIC:
            python_random.seed_random(partners.python_rngs[agent], own)
            for i in range(MEMORY):
                partners.memory[agent, i] = 0


@inlined_helper
def _act(
    networks: Networks,
    partners: PartnerStates,
    player: int,
    agent: int,
    x: Any,
    spaces: Any,
    memories: Any,
    actions: Any,
) -> None:
    """Write the action of an agent for what it sees; networks see it processed."""
    _, done, _, num_outputs = spaces
    memory, scratch = memories
    roster = partners.roster
    kind = roster.kinds[player]
    if kind == UNIFORM:
        draw(done, num_outputs[agent], agent, partners.numpy_rngs[agent], actions)
    elif kind == HEURISTIC:
        action = choose(
            roster.tables,
            roster.numbers[player],
            roster.settings[player],
            agent,
            x,
            partners.memory[agent],
            partners.python_rngs[agent],
        )
        set_action(action, agent, actions)
    else:
        network = roster.networks[player]
        packed = networks.packed[network]
        into = forward(networks.plan, network, packed, x, memory[agent], scratch)
        outputs = scratch[into].reshape(-1)
        if kind == GREEDY:
            decode(done, outputs, num_outputs[agent], agent, actions)
        else:
            rng = partners.numpy_rngs[agent]
            sample(done, outputs, num_outputs[agent], agent, rng, actions)


@inlined_helper
def _episode(
    params: Any,
    state: Any,
    networks: Networks,
    partners: PartnerStates,
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
    seen, _, lengths, _ = spaces
    observation, actions, rewards, terminated = buffers
    max_steps, decrease = rules
    agents = len(rewards)
    own = 0
    for agent in range(agents):
        own += cast[agent] == 0
    total, steps, over = 0.0, 0, False
    while not over:
        for agent in range(agents):
            x = observation[: lengths[agent]]
            observe(params, state, 0, agent, x)
            player = cast[agent]
            # Heuristics see what POSGGym gives them.
            if partners.roster.kinds[player] != HEURISTIC:
                process(seen, agent, x)
            if player == 0 and len(outcomes.counts):
                outcomes.counts[n] += 1
                _record(x, outcomes.sums[n], outcomes.sumsqs[n])
            _act(networks, partners, player, agent, x, spaces, memories, actions)
        over = step(params, state, 0, actions, rewards, terminated)
        mine = 0.0
        for agent in range(agents):
            outcomes.returns[n, m, agent] += rewards[agent]
            if cast[agent] == 0:
                mine += rewards[agent]
        total += mine - decrease * own
        steps += 1
        over = over or steps == max_steps
    outcomes.fitness[n, m] = total / own if own else 0.0
    outcomes.steps[n, m] = steps


@lean_helper
def _are_common(seeds: Seeds) -> bool:
    """Return whether all rows are the same."""
    for n in range(1, len(seeds)):
        for m in range(seeds.shape[1]):
            if seeds[n, m] != seeds[0, m]:
                return False
    return True


@lean_kernel
def _play(
    params: Any,
    state: Any,
    networks: Networks,
    solutions: Vector,
    seeds: Seeds,
    generators: Generators,
    cast: Integers,
    partners: PartnerStates,
    spaces: Any,
    memories: Any,
    buffers: Any,
    rules: Any,
    outcomes: Any,
) -> None:
    # Where all solutions play the same episodes, the generators of the first serve all.
    all_seeds = seeds.reshape(-1)
    period = seeds.shape[1] if _are_common(seeds) else len(all_seeds)
    first, end = 0, 0
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
            place = (n * seeds.shape[1] + m) % period
            if not first <= place < end:
                first, end = place, min(place + WINDOW, period)
                seed_generators(all_seeds[first:end], generators)
            words = generators.words[place - first]
            seed(params, state, 0, words)
            reset(params, state, 0)
            _begin(partners, cast[n, m], seeds[n, m], memories[0])
            _episode(
                params,
                state,
                networks,
                partners,
                cast[n, m],
                spaces,
                memories,
                buffers,
                rules,
                outcomes,
                n,
                m,
            )
