"""Episodes in lockstep, so that those with the same partner read its network once.

POSGGym's own networks have up to 300,000 weights, more than the caches of a processor
hold. An episode alone reads them in every step, which takes most of its time.
"""

from __future__ import annotations

from typing import Any

from posggym_compiled.interface import (
    Integers,
    generic,
    implements,
    observe,
    reset,
    seed,
    step,
)
from posggym_compiled.jit import inlined_helper, lean_kernel
from posggym_compiled.networks import Vector, forward, forward_together, pack
from posggym_compiled.partners.kinds import HEURISTIC
from posggym_compiled.playing import (
    WINDOW,
    AllNetworks,
    Networks,
    NoNetworks,
    PartnerStates,
    Seeds,
    act_by_outputs,
    act_without_network,
    begin,
    copy_outputs,
    has_network,
    record,
)
from posggym_compiled.processing import process
from posggym_compiled.random.seeding import Generators, seed_generators

# In the place of the number of an episode, and of a player.
NONE = -1


@inlined_helper
def _slots_of(player: int, waiting: Integers, agent: int, slots: Integers) -> int:
    """Collect the slots where an agent waits for a player; return their number."""
    count = 0
    for slot in range(len(waiting)):
        if waiting[slot, agent] == player:
            slots[count] = slot
            count += 1
    return count


@generic
def _act_together(
    networks: Networks | NoNetworks,
    player: int,
    agent: int,
    slots: Integers,
    count: int,
    observation: Any,
    partners: PartnerStates,
    spaces: Any,
    outputs: Vector,
    actions: Any,
) -> None:
    """Write the actions of a player with a network that plays an agent in slots.

    Parameters
    ----------
    networks
        Networks of its dtype.
    player, agent
        Number of the player, and of the agent.
    slots, count
        Numbers of the slots, in the first `count` places.
    observation
        Shape (slots, agents, longest).
    partners, spaces
        As for `playing.play`.
    outputs
        Room for a network's outputs.
    actions
        Shape (slots, agents[, size]), written.
    """
    raise NotImplementedError("compiled code only")


@implements(_act_together, Networks, lean=True)
def _act(
    networks: Networks,
    player: int,
    agent: int,
    slots: Integers,
    count: int,
    observation: Any,
    partners: PartnerStates,
    spaces: Any,
    outputs: Vector,
    actions: Any,
) -> None:
    _, _, lengths, _ = spaces
    plan, packed, memory, _, wide = networks
    network = partners.roster.networks[player]
    into = forward_together(
        plan,
        network,
        packed[network],
        observation,
        agent,
        lengths[agent],
        slots,
        count,
        memory,
        wide,
    )
    for j in range(count):
        copy_outputs(plan, network, wide[into, j].reshape(-1), outputs)
        slot = slots[j]
        act_by_outputs(partners, slot, player, agent, outputs, spaces, actions[slot])


@implements(_act_together, NoNetworks, lean=True)
def _do_not_act(
    networks: NoNetworks,
    player: int,
    agent: int,
    slots: Integers,
    count: int,
    observation: Any,
    partners: PartnerStates,
    spaces: Any,
    outputs: Vector,
    actions: Any,
) -> None:
    pass


@lean_kernel
def play_together(
    params: Any,
    state: Any,
    networks: AllNetworks,
    others: Networks | NoNetworks,
    learners: Vector,
    solutions: Vector,
    order: Integers,
    seeds: Seeds,
    generators: Generators,
    cast: Integers,
    partners: PartnerStates,
    spaces: Any,
    buffers: Any,
    books: Any,
    rules: Any,
    outcomes: Any,
) -> None:
    """Play episodes in slots; a slot begins the next episode when its own is over.

    Parameters
    ----------
    params, state
        A world, and a state with an environment for each slot.
    networks
        All networks. The learner's weights among them are not used.
    others
        Those that compute in float64 if any is a partner's.
    learners
        float64 (slots, rows, 8): the learner's weights in each slot, written.
    solutions
        Shape (n, num_parameters).
    order
        Shape (episodes,): the numbers of all episodes (that of episode m of solution n
        is n times the episodes of each, plus m) in the order in which they begin.
        Neighbours should have the same partners.
    seeds, cast
        Shapes (episodes,) and (episodes, agents): in that order.
    generators, partners, spaces, rules, outcomes
        As for `playing.play`.
    buffers
        Observations (slots, agents, longest), actions (slots, agents[, size]), rewards
        and terminations (agents,).
    books
        int64 (slots, agents), players that wait for their network; int64 (slots,), four
        times: slots that are computed together, numbers of episodes, steps, and agents
        of the learner; float64 (slots,): returns.
    """
    seen, _, lengths, _ = spaces
    observation, actions, rewards, terminated = buffers
    waiting, slots, episodes, steps, own, totals = books
    max_steps, decrease = rules
    exact, outputs, roster = networks.exact, networks.outputs, partners.roster
    agents, each = len(rewards), outcomes.fitness.shape[1]
    first, end, begun, over = 0, 0, 0, 0
    episodes[:] = NONE
    while over < len(order):
        for slot in range(len(episodes)):
            if episodes[slot] == NONE and begun < len(order):
                if begun == end:
                    first, end = begun, min(begun + WINDOW, len(order))
                    seed_generators(seeds[first:end], generators)
                seed(params, state, slot, generators.words[begun - first])
                reset(params, state, slot)
                begin(networks, partners, slot, cast[begun], seeds[begun])
                pack(
                    exact.plan,
                    0,
                    solutions[order[begun] // each],
                    networks.mean,
                    networks.stdev,
                    learners[slot],
                )
                own[slot], totals[slot], steps[slot] = 0, 0.0, 0
                for agent in range(agents):
                    own[slot] += cast[begun, agent] == 0
                episodes[slot] = begun
                begun += 1
            for agent in range(agents):
                waiting[slot, agent] = NONE
            episode = episodes[slot]
            if episode == NONE:
                continue
            n = order[episode] // each
            for agent in range(agents):
                x = observation[slot, agent, : lengths[agent]]
                observe(params, state, slot, agent, x)
                player = cast[episode, agent]
                # Heuristics see what POSGGym gives them.
                if roster.kinds[player] != HEURISTIC:
                    process(seen, agent, x)
                if not has_network(roster, player):
                    act_without_network(
                        partners, slot, player, agent, x, spaces, actions[slot]
                    )
                elif player != 0:
                    waiting[slot, agent] = player
                else:
                    if len(outcomes.counts):
                        outcomes.counts[n] += 1
                        record(x, outcomes.sums[n], outcomes.sumsqs[n])
                    memory, scratch = exact.memory[slot, agent], exact.scratch
                    into = forward(exact.plan, 0, learners[slot], x, memory, scratch)
                    copy_outputs(exact.plan, 0, scratch[into].reshape(-1), outputs)
                    act_by_outputs(
                        partners, slot, 0, agent, outputs, spaces, actions[slot]
                    )
        for agent in range(agents):
            for slot in range(len(episodes)):
                player = waiting[slot, agent]
                if player == NONE:
                    continue
                count = _slots_of(player, waiting, agent, slots)
                for j in range(count):
                    waiting[slots[j], agent] = NONE
                if roster.singles[player]:
                    _act_together(
                        networks.single,
                        player,
                        agent,
                        slots,
                        count,
                        observation,
                        partners,
                        spaces,
                        outputs,
                        actions,
                    )
                else:
                    _act_together(
                        others,
                        player,
                        agent,
                        slots,
                        count,
                        observation,
                        partners,
                        spaces,
                        outputs,
                        actions,
                    )
        for slot in range(len(episodes)):
            episode = episodes[slot]
            if episode == NONE:
                continue
            n, m = order[episode] // each, order[episode] % each
            ended = step(params, state, slot, actions[slot], rewards, terminated)
            reward = 0.0
            for agent in range(agents):
                outcomes.returns[n, m, agent] += rewards[agent]
                if cast[episode, agent] == 0:
                    reward += rewards[agent]
            totals[slot] += reward - decrease * own[slot]
            steps[slot] += 1
            if ended or steps[slot] == max_steps:
                fitness = totals[slot] / own[slot] if own[slot] else 0.0
                outcomes.fitness[n, m] = fitness
                outcomes.steps[n, m] = steps[slot]
                episodes[slot] = NONE
                over += 1
