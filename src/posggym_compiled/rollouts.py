"""Whole episodes in one call: worlds, observations, networks and their statistics."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from posggym_compiled.interface import Dense, Discrete, Integers, World
from posggym_compiled.lockstep import play_together
from posggym_compiled.networks import (
    Architecture,
    Dtype,
    Vector,
    make_plan,
    memory_for,
    pack,
    packed_weights,
    scratch_for,
    shared_scratch_for,
)
from posggym_compiled.partners.kinds import (
    MEMORY,
    Opponent,
    Partner,
    SampledNetwork,
    make_roster,
    networks_of,
)
from posggym_compiled.partners.tables import tables_for
from posggym_compiled.playing import (
    WINDOW,
    AllNetworks,
    Networks,
    NoNetworks,
    PartnerStates,
    Seeds,
    play,
)
from posggym_compiled.processing import rescaling
from posggym_compiled.random import numpy_random, python_random
from posggym_compiled.random.seeding import make_generators

# Episodes that are played in lockstep, unless so many learners have more weights than
# the partner's network, which they then push out of the caches.
SLOTS = 8


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
        exact = networks_of(partners, single=False)
        single = networks_of(partners, single=True)
        # Worlds with Boxes stay with one after another: sums of what solutions see
        # depend on the order of steps there, and physics on what was played before.
        one_hot = not isinstance(world.observations[0], Dense)
        self._in_lockstep = bool(single) and one_hot
        agents, slots = world.num_agents, self._num_slots([*exact, *single])
        self._partner_states = PartnerStates(
            make_roster(partners, tables_for(world, partners), stochastic),
            np.zeros((slots, agents, numpy_random.SIZE), np.uint64),
            np.zeros((slots, agents, python_random.SIZE), np.uint32),
            np.zeros((slots, agents, MEMORY), np.int64),
        )
        sizes = [each.architecture.output_size for each in (*exact, *single)]
        none = np.zeros(0)
        self._networks = AllNetworks(
            self._ready([None, *exact], slots, np.float64),
            self._ready(single, slots, np.float32) if single else NoNetworks(),
            none,
            none,
            np.zeros(max([self.architecture.output_size, *sizes])),
        )
        # The learner's weights in each slot, of episodes in lockstep.
        own = packed_weights(make_plan([self.architecture]))
        self._learners = np.repeat(own, slots, axis=0)
        self._state = world.make_state(slots)
        self._generators = make_generators(WINDOW)
        self._num_outputs = np.array(
            [
                spec.n if isinstance(spec, Discrete) else spec.size
                for spec in world.actions
            ]
        )
        self._spaces = (
            rescaling(world.observations),
            rescaling(world.actions),
            np.array([spec.length for spec in world.observations]),
            self._num_outputs,
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
        rules = min(limits), float(decrease_rewards_by)
        solutions = np.ascontiguousarray(solutions, np.float64)
        seeds = np.ascontiguousarray(seeds, np.uint64)
        cast = np.ascontiguousarray(cast, np.int64)
        if self._in_lockstep:
            self._play_together(networks, solutions, seeds, cast, rules, outcomes)
        else:
            self._play_in_turn(networks, solutions, seeds, cast, rules, outcomes)
        return outcomes

    def _num_slots(self, opponents: Sequence[Opponent | SampledNetwork]) -> int:
        """Return how many episodes are played in lockstep."""
        if not self._in_lockstep:
            return 1
        # A step reads the weights of the inputs that are not 0.
        ones = self.world.observations[0].length
        own, *others = (
            dataclasses.replace(each, observation_size=ones).num_parameters
            for each in (self.architecture, *(each.architecture for each in opponents))
        )
        return SLOTS if SLOTS * own < max(others) else 1

    def _ready(
        self,
        opponents: Sequence[Opponent | SampledNetwork | None],
        slots: int,
        dtype: Dtype,
    ) -> Networks:
        """Return networks that are ready to play; None is the learner's."""
        plan = make_plan(
            [o.architecture if o else self.architecture for o in opponents]
        )
        packed, none = packed_weights(plan, dtype), np.zeros(0)
        for number, opponent in enumerate(opponents):
            if opponent is not None:
                parameters = np.ascontiguousarray(opponent.parameters, np.float64)
                pack(plan, number, parameters, none, none, packed[number])
        return Networks(
            plan,
            packed,
            memory_for(plan, slots, self.world.num_agents, dtype=dtype),
            scratch_for(plan, dtype=dtype),
            shared_scratch_for(plan, slots, dtype=dtype),
        )

    def _play_in_turn(
        self,
        networks: AllNetworks,
        solutions: Vector,
        seeds: Seeds,
        cast: Integers,
        rules: tuple[int, float],
        outcomes: Outcomes,
    ) -> None:
        agents = self.world.num_agents
        play(
            self.world.params,
            self._state,
            networks,
            solutions,
            seeds,
            self._generators,
            cast,
            self._partner_states,
            self._spaces,
            (
                self.world.observation_buffer(),
                self.world.action_buffer(),
                np.zeros(agents),
                np.zeros(agents, np.bool_),
            ),
            rules,
            outcomes,
        )

    def _play_together(
        self,
        networks: AllNetworks,
        solutions: Vector,
        seeds: Seeds,
        cast: Integers,
        rules: tuple[int, float],
        outcomes: Outcomes,
    ) -> None:
        exact = networks.exact
        slots, agents = exact.memory.shape[:2]
        players = cast.reshape(-1, agents)
        # Neighbours have the same partners, as far as possible for every agent.
        order = np.lexsort(players.T)
        play_together(
            self.world.params,
            self._state,
            networks,
            exact if len(exact.packed) > 1 else NoNetworks(),
            self._learners,
            solutions,
            order,
            seeds.reshape(-1)[order],
            self._generators,
            players[order],
            self._partner_states,
            self._spaces,
            (
                self.world.observation_buffer(slots, agents),
                self.world.action_buffer(slots),
                np.zeros(agents),
                np.zeros(agents, np.bool_),
            ),
            (
                np.zeros((slots, agents), np.int64),
                *(np.zeros(slots, np.int64) for _ in range(4)),
                np.zeros(slots),
            ),
            rules,
            outcomes,
        )

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
