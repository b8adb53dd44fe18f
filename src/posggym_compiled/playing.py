"""Whole episodes one after another: worlds, observations, networks, statistics."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.extending import overload

from posggym_compiled.interface import (
    Integers,
    generic,
    implements,
    observe,
    reset,
    seed,
    step,
)
from posggym_compiled.jit import INLINED, inlined_helper, lean_helper, lean_kernel
from posggym_compiled.networks import (
    OUTPUTS,
    Numbers,
    Plan,
    Vector,
    forward,
    pack,
)
from posggym_compiled.partners.kinds import (
    GREEDY,
    HEURISTIC,
    MEMORY,
    SAMPLED,
    UNIFORM,
    Roster,
    choose,
)
from posggym_compiled.processing import (
    decode,
    draw,
    is_integer,
    process,
    sample,
    set_action,
)
from posggym_compiled.random import numpy_random, python_random
from posggym_compiled.random.seeding import Generators, seed_generators
from posggym_compiled.random.splitmix import splitmix64

Seeds = npt.NDArray[np.uint64]
# Generators that are seeded at a time; they fit into the processor's cache.
WINDOW = 256
_splitmix64 = inlined_helper(splitmix64)


class Networks(NamedTuple):
    """Networks that compute in the same dtype, and what they need to play.

    An episode is played in a slot.

    Parameters
    ----------
    plan
        Their layers. The learner is number 0 of those that compute in float64.
    packed
        Their weights, shape (networks, rows, 8).
    memory
        States of LSTMs, shape (slots, agents, 2, blocks, 8).
    scratch, wide
        From `scratch_for` and `shared_scratch_for`.
    """

    plan: Plan
    packed: Numbers
    memory: Numbers
    scratch: Numbers
    wide: Numbers


class NoNetworks(NamedTuple):
    """In the place of the networks of a dtype where there are none."""

    unused: int = 0


class AllNetworks(NamedTuple):
    """All networks that play.

    Parameters
    ----------
    exact
        Those that compute in float64.
    single
        Those that compute in float32.
    mean, stdev
        Observation normalisation of the learner, shape (observation_size,) or (0,).
    outputs
        Room for the outputs of one of them, float64.
    """

    exact: Networks
    single: Networks | NoNetworks
    mean: Vector
    stdev: Vector
    outputs: Vector


class PartnerStates(NamedTuple):
    """Partners, and what they keep during an episode, for kernels.

    Parameters
    ----------
    roster
        All players.
    numpy_rngs, python_rngs
        A generator for each agent of each slot, where an episode is played: uint64
        (slots, agents, 6) and uint32 (slots, agents, 625).
    memory
        int64 (slots, agents, 8): what heuristics remember.
    """

    roster: Roster
    numpy_rngs: numpy_random.Words
    python_rngs: python_random.Words
    memory: Integers


# --- statistics -----------------------------------------------------------------------


def record(x: Any, sums: Vector, sumsqs: Vector) -> None:
    """Add an observation to statistics."""
    raise NotImplementedError("compiled code only")


@overload(record, strict=False, jit_options=INLINED)
def _record_kind(x: Any, sums: Any, sumsqs: Any) -> Any:
    def ones(x: Any, sums: Vector, sumsqs: Vector) -> None:
        for k in range(len(x)):
            sums[x[k]] += 1.0

    def values(x: Any, sums: Vector, sumsqs: Vector) -> None:
        for i in range(len(x)):
            sums[i] += x[i]
            sumsqs[i] += x[i] * x[i]

    return ones if is_integer(x) else values


# --- networks -------------------------------------------------------------------------


@generic
def compute(
    networks: Networks | NoNetworks,
    network: int,
    slot: int,
    agent: int,
    x: Any,
    outputs: Vector,
) -> None:
    """Write the outputs of a network for what an agent sees.

    Parameters
    ----------
    networks, network
        Its layers.
    slot, agent
        Where it plays.
    x
        What it sees.
    outputs
        Written.
    """
    raise NotImplementedError("compiled code only")


@implements(compute, Networks, lean=True)
def _compute(
    networks: Networks,
    network: int,
    slot: int,
    agent: int,
    x: Any,
    outputs: Vector,
) -> None:
    plan, scratch = networks.plan, networks.scratch
    memory = networks.memory[slot, agent]
    into = forward(plan, network, networks.packed[network], x, memory, scratch)
    copy_outputs(plan, network, scratch[into].reshape(-1), outputs)


@inlined_helper
def copy_outputs(plan: Plan, network: int, results: Numbers, outputs: Vector) -> None:
    """Write a network's outputs as float64."""
    for i in range(plan.layers[network, plan.counts[network] - 1, OUTPUTS]):
        outputs[i] = results[i]


@implements(compute, NoNetworks, lean=True)
def _compute_nothing(
    networks: NoNetworks,
    network: int,
    slot: int,
    agent: int,
    x: Any,
    outputs: Vector,
) -> None:
    pass


@lean_helper
def compute_apart(
    networks: Networks | NoNetworks,
    network: int,
    slot: int,
    agent: int,
    x: Any,
    outputs: Vector,
) -> None:
    """Do what `compute` does, without a copy of its code in the caller."""
    compute(networks, network, slot, agent, x, outputs)


# --- playing --------------------------------------------------------------------------


@generic
def _forget(networks: Networks | NoNetworks, slot: int) -> None:
    """Clear the memories of the networks that play in a slot."""
    raise NotImplementedError("compiled code only")


@implements(_forget, Networks, lean=True)
def _forget_all(networks: Networks, slot: int) -> None:
    networks.memory[slot] = 0.0


@implements(_forget, NoNetworks, lean=True)
def _forget_nothing(networks: NoNetworks, slot: int) -> None:
    pass


@lean_helper
def begin(
    networks: AllNetworks,
    partners: PartnerStates,
    slot: int,
    cast: Integers,
    value: np.uint64,
) -> None:
    """Make the players ready for an episode.

    Parameters
    ----------
    networks, partners, slot
        Written, and where in them.
    cast
        Shape (agents,): who plays.
    value
        Seed of the episode.
    """
    _forget(networks.exact, slot)
    _forget(networks.single, slot)
    for agent in range(len(cast)):
        kind = partners.roster.kinds[cast[agent]]
        own = _splitmix64(np.uint64(value), np.uint64(agent))
        if kind in (SAMPLED, UNIFORM):
            numpy_random.seed_numpy(partners.numpy_rngs[slot, agent], own)
        elif kind == HEURISTIC:
            python_random.seed_random(partners.python_rngs[slot, agent], own)
            for i in range(MEMORY):
                partners.memory[slot, agent, i] = 0


@inlined_helper
def has_network(roster: Roster, player: int) -> bool:
    """Return whether a player is a network."""
    kind = roster.kinds[player]
    return kind in (GREEDY, SAMPLED)


@inlined_helper
def act_without_network(
    partners: PartnerStates,
    slot: int,
    player: int,
    agent: int,
    x: Any,
    spaces: Any,
    actions: Any,
) -> None:
    """Write the action of an agent whose player has no network, for what it sees."""
    _, done, _, num_outputs = spaces
    roster = partners.roster
    if roster.kinds[player] == UNIFORM:
        rng = partners.numpy_rngs[slot, agent]
        draw(done, num_outputs[agent], agent, rng, actions)
    else:
        action = choose(
            roster.tables,
            roster.numbers[player],
            roster.settings[player],
            agent,
            x,
            partners.memory[slot, agent],
            partners.python_rngs[slot, agent],
        )
        set_action(action, agent, actions)


@inlined_helper
def act_by_outputs(
    partners: PartnerStates,
    slot: int,
    player: int,
    agent: int,
    outputs: Vector,
    spaces: Any,
    actions: Any,
) -> None:
    """Write the action of an agent for the outputs of its player's network."""
    _, done, _, num_outputs = spaces
    if partners.roster.kinds[player] == GREEDY:
        decode(done, outputs, num_outputs[agent], agent, actions)
    else:
        rng = partners.numpy_rngs[slot, agent]
        sample(done, outputs, num_outputs[agent], agent, rng, actions)


@inlined_helper
def _episode(
    params: Any,
    state: Any,
    networks: AllNetworks,
    partners: PartnerStates,
    cast: Integers,
    spaces: Any,
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
                record(x, outcomes.sums[n], outcomes.sumsqs[n])
            if not has_network(partners.roster, player):
                act_without_network(partners, 0, player, agent, x, spaces, actions)
                continue
            network, outputs = partners.roster.networks[player], networks.outputs
            if partners.roster.singles[player]:
                compute_apart(networks.single, network, 0, agent, x, outputs)
            else:
                compute(networks.exact, network, 0, agent, x, outputs)
            act_by_outputs(partners, 0, player, agent, outputs, spaces, actions)
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
def play(
    params: Any,
    state: Any,
    networks: AllNetworks,
    solutions: Vector,
    seeds: Seeds,
    generators: Generators,
    cast: Integers,
    partners: PartnerStates,
    spaces: Any,
    buffers: Any,
    rules: Any,
    outcomes: Any,
) -> None:
    """Play the episodes of all solutions, one after another.

    Parameters
    ----------
    params, state
        A world, and a state with one environment.
    networks
        The networks; the learner's weights are written.
    solutions
        Shape (n, num_parameters).
    seeds, cast
        See `rollouts.Players.play`.
    generators
        Room for those of a window of episodes.
    partners
        With one slot.
    spaces
        What rescales observations and actions, the lengths of the agents' observations,
        and the numbers of their networks' outputs.
    buffers
        An observation, actions, rewards and terminations of the agents.
    rules
        The longest episode, and what is subtracted from rewards.
    outcomes
        A `rollouts.Outcomes`, written.
    """
    # Where all solutions play the same episodes, the generators of the first serve all.
    all_seeds = seeds.reshape(-1)
    period = seeds.shape[1] if _are_common(seeds) else len(all_seeds)
    first, end = 0, 0
    for n in range(len(seeds)):
        pack(
            networks.exact.plan,
            0,
            solutions[n],
            networks.mean,
            networks.stdev,
            networks.exact.packed[0],
        )
        for m in range(seeds.shape[1]):
            place = (n * seeds.shape[1] + m) % period
            if not first <= place < end:
                first, end = place, min(place + WINDOW, period)
                seed_generators(all_seeds[first:end], generators)
            words = generators.words[place - first]
            seed(params, state, 0, words)
            reset(params, state, 0)
            begin(networks, partners, 0, cast[n, m], seeds[n, m])
            _episode(
                params,
                state,
                networks,
                partners,
                cast[n, m],
                spaces,
                buffers,
                rules,
                outcomes,
                n,
                m,
            )
