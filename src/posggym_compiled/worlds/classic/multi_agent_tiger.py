"""MultiAgentTiger: two agents before two doors, with a tiger behind one of them.

Source: `posggym.envs.classic.tiger`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from posggym_compiled.interface import World, implements, observe, reset, seed, step
from posggym_compiled.jit import lean_helper
from posggym_compiled.random import python_random
from posggym_compiled.worlds.classic.core import ClassicState, make_classic_state

# Doors, which are also the actions that open them and the noises from them.
LEFT, RIGHT = range(2)
LISTEN = 2
SILENCE = 2
# Noises of the tiger; those of doors follow in an observation.
GROWLS, CREAKS = 2, 3


class TigerParams(NamedTuple):
    """Constants of MultiAgentTiger.

    Parameters
    ----------
    observation_prob
        How often one who listens hears the tiger where it is.
    creak_observation_prob
        How often one who listens hears what the other agent did.
    """

    observation_prob: float
    creak_observation_prob: float


def make_world(env: Any) -> World:
    """Return the compiled form of a MultiAgentTiger environment."""
    params = TigerParams(
        observation_prob=float(env.model._obs_prob),
        creak_observation_prob=float(env.model._creak_obs_prob),
    )
    return World.of(env, params, lambda n: make_classic_state(n, 1, 2, 2))


@lean_helper
def hear_creak(params: TigerParams, rng: Any, other: int) -> int:
    """Draw what one who listens hears of the other agent's action."""
    if python_random.random(rng) < params.creak_observation_prob:
        return other
    if other == LISTEN:
        return python_random.randbelow(rng, 2)
    # POSGGym draws from these two for both doors.
    return SILENCE if python_random.randbelow(rng, 2) else RIGHT


@lean_helper
def hear(params: TigerParams, rng: Any, tiger: int, other: int, seen: Any) -> None:
    """Draw what one who listens hears."""
    hears_it = python_random.random(rng) < params.observation_prob
    seen[0] = tiger if hears_it else 1 - tiger
    seen[1] = hear_creak(params, rng, other)


@implements(seed, TigerParams, lean=True)
def _seed(params: TigerParams, state: ClassicState, env: int, value: Any) -> None:
    python_random.seed_random(state.rng[env], value)


@implements(reset, TigerParams, lean=True)
def _reset(params: TigerParams, state: ClassicState, env: int) -> None:
    state.hidden[env, 0] = python_random.randbelow(state.rng[env], 2)
    for i in range(2):
        state.seen[env, i, 0] = LEFT
        state.seen[env, i, 1] = SILENCE


@implements(step, TigerParams, lean=True)
def _step(
    params: TigerParams,
    state: ClassicState,
    env: int,
    actions: Any,
    rewards: Any,
    terminated: Any,
) -> bool:
    rng, tiger = state.rng[env], state.hidden[env, 0]
    if actions[0] != LISTEN or actions[1] != LISTEN:
        state.hidden[env, 0] = python_random.randbelow(rng, 2)
    for i in range(2):
        seen = state.seen[env, i]
        if actions[i] == LISTEN:
            hear(params, rng, tiger, actions[1 - i], seen)
            rewards[i] = -1.0
        else:
            n = python_random.randbelow(rng, GROWLS * CREAKS)
            seen[0], seen[1] = n // CREAKS, n % CREAKS
            rewards[i] = -100.0 if actions[i] == tiger else 10.0
        terminated[i] = False
    return False


@implements(observe, TigerParams, lean=True)
def _observe(
    params: TigerParams, state: ClassicState, env: int, agent: int, out: Any
) -> None:
    out[0] = state.seen[env, agent, 0]
    out[1] = GROWLS + state.seen[env, agent, 1]
