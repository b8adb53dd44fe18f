"""Converted policies, as POSGGym plays them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import posggym
from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from posggym_es.models.posggym_model_file import model_file_bytes
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.registration.environments import registered_env


class Decision(NamedTuple):
    """What a policy makes of an observation.

    Parameters
    ----------
    action
        The action that it takes.
    distribution
        Probabilities, shape (n,), or means and standard deviations, shape (2, n).
    """

    action: Any
    distribution: np.ndarray


def converted_policy(
    policy: ConvertiblePolicy, folder: Path, agent: str = "0"
) -> tuple[PPOPolicy, posggym.Env]:
    """Convert a policy, and load it with POSGGym's own loader."""
    env = registered_env(policy).make()
    converted = policy.to_posggym(
        env.observation_spaces[agent], env.action_spaces[agent]
    )
    file = folder / "converted.pkl"
    file.write_bytes(model_file_bytes(converted.model))
    return PPOPolicy.load_from_path(
        env.model,
        agent,
        "test",
        file,
        policy.deterministic,
        getattr(processors, converted.obs_processor.name),
        converted.obs_processor.config,
        getattr(processors, converted.action_processor.name),
        converted.action_processor.config,
    ), env


def episodes_of(
    env: posggym.Env, at_least: int, agent: str = "0"
) -> Iterator[list[Any]]:
    """Yield an agent's observations in episodes of random actions."""
    count, seed = 0, 0
    for space in env.action_spaces.values():
        space.seed(0)
    while count < at_least:
        observations, _ = env.reset(seed=seed)
        episode, done = [], False
        while not done:
            episode.append(observations[agent])
            actions = {i: env.action_spaces[i].sample() for i in env.agents}
            observations, *_, done, _ = env.step(actions)
        count += len(episode)
        seed += 1
        yield episode


def decisions(policy: PPOPolicy, episode: list[Any]) -> list[Decision]:
    """Return what a policy decides in an episode."""
    policy.reset(seed=0)
    state, found = policy.get_initial_state(), []
    for observation in episode:
        state = policy.get_next_state(None, observation, state)
        action = policy.sample_action(state)
        distribution = np.squeeze(np.asarray(state["action_probs"], np.float64))
        found.append(Decision(action, distribution))
    return found
