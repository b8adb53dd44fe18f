"""MultiAccessBroadcastChannel: nodes that share a channel for one message at a time.

Source: `posggym.envs.classic.mabc`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from posggym_compiled.interface import World, implements, observe, reset, seed, step
from posggym_compiled.networks import Vector
from posggym_compiled.random import python_random
from posggym_compiled.worlds.classic.core import ClassicState, make_classic_state

EMPTY, FULL = range(2)
SEND = 0
COLLISION, NO_COLLISION = range(2)


class BroadcastParams(NamedTuple):
    """Constants of MultiAccessBroadcastChannel.

    Parameters
    ----------
    fill_probs
        Shape (nodes,): how often a buffer gets a new message.
    init_probs
        Shape (nodes,): how often a buffer is full at the beginning.
    observation_prob
        How often a node hears what happened.
    """

    fill_probs: Vector
    init_probs: Vector
    observation_prob: float


def make_world(env: Any) -> World:
    """Return the compiled form of a MultiAccessBroadcastChannel environment."""
    model, nodes = env.model, len(env.possible_agents)
    params = BroadcastParams(
        fill_probs=np.array(model._fill_probs, np.float64),
        init_probs=np.array(model._init_buffer_dist, np.float64),
        observation_prob=float(model._obs_prob),
    )
    return World.of(env, params, lambda n: make_classic_state(n, nodes, nodes, 1))


@implements(seed, BroadcastParams, lean=True)
def _seed(params: BroadcastParams, state: ClassicState, env: int, value: Any) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, BroadcastParams, lean=True)
def _reset(params: BroadcastParams, state: ClassicState, env: int) -> None:
    rng = state.rng[env]
    for i in range(len(params.init_probs)):
        is_full = python_random.random(rng) <= params.init_probs[i]
        state.hidden[env, i] = FULL if is_full else EMPTY
        state.seen[env, i, 0] = NO_COLLISION


@implements(step, BroadcastParams, lean=True)
def _step(
    params: BroadcastParams,
    state: ClassicState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    rng, buffers, nodes = state.rng[env], state.hidden[env], len(params.fill_probs)
    senders, messages = 0, 0
    for i in range(nodes):
        if actions[i] == SEND:
            senders += 1
            messages += buffers[i] == FULL
            # Also in a collision.
            buffers[i] = EMPTY
        if python_random.random(rng) <= params.fill_probs[i]:
            buffers[i] = FULL
    happened = COLLISION if senders > 1 else NO_COLLISION
    reward = 1.0 if senders == 1 and messages == 1 else 0.0
    for i in range(nodes):
        hears_it = python_random.random(rng) <= params.observation_prob
        state.seen[env, i, 0] = happened if hears_it else 1 - happened
        rewards[i] = reward
        terminated[i] = False
    return False


@implements(observe, BroadcastParams, lean=True)
def _observe(
    params: BroadcastParams, state: ClassicState, env: int, agent: int, out: Any
) -> None:
    out[0] = state.seen[env, agent, 0]
