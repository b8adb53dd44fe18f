"""PPO policies in POSGGym: conversion with a proof, and returns to compare with.

A policy with an LSTM has POSGGym's architecture, so its weights are copied. One without
gets an LSTM that passes the trunk's output through, exactly: scaled down by EPS with
saturated gates, and back up in the first layers of actor and critic. PPO policies act
by chance, and so do the converted ones, with the same probabilities.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import posggym
from gymnasium import spaces
from posggym.agents.torch_policy import PPOPolicy, PPOTorchModelSaveFileFormat
from posggym.agents.utils import processors
from posggym.agents.utils.action_distributions import (
    ActionDistribution,
    DiscreteActionDistribution,
    NormalActionDistribution,
)
from posggym.utils import seeding

from pgpelib.policies.networks import LSTM, Layer, Network
from posggym_es.conversion.lossless import EPS, ConversionError, pass_through
from posggym_es.models.posggym_model_file import ordered
from posggym_es.models.ppo_data import PPOPolicyData
from posggym_es.tasks.posggym_task import (
    derived_action_processor,
    derived_processor,
    make_processor,
)
from posggym_es.utils.torch_threads import one_thread

# Largest difference of a probability, or of a mean or standard deviation in the units
# of the processed actions, whose range is 2.
TOLERANCE = 1e-5


def actor_layers(policy: PPOPolicyData) -> list[Layer]:
    """Return trunk, LSTMs and actor as layers, float64."""
    weights = {name: array.astype(np.float64) for name, array in policy.weights.items()}

    def linear(name: str) -> Layer:
        return weights[f"{name}.weight"], weights[f"{name}.bias"]

    return [
        *(linear(f"trunk.{2 * i}") for i in range(len(policy.trunk_sizes))),
        *(
            LSTM(
                weights[f"lstm.weight_ih_l{i}"],
                weights[f"lstm.weight_hh_l{i}"],
                weights[f"lstm.bias_ih_l{i}"] + weights[f"lstm.bias_hh_l{i}"],
            )
            for i in range(policy.lstm_layers)
        ),
        *(linear(f"actor.{2 * i}") for i in range(len(policy.head_sizes) + 1)),
    ]


def to_posggym(policy: PPOPolicyData) -> PPOTorchModelSaveFileFormat:
    """Express a policy in POSGGym's format; its weights are float32."""
    weights, cells, layers = dict(policy.weights), policy.lstm_size, policy.lstm_layers
    if not layers:
        cells, layers = weights["actor.0.weight"].shape[1], 1
        lstm = pass_through((np.eye(cells), np.zeros(cells)))
        weights |= {
            "lstm.weight_ih_l0": lstm.weight_ih,
            "lstm.weight_hh_l0": lstm.weight_hh,
            "lstm.bias_ih_l0": lstm.bias,
            "lstm.bias_hh_l0": np.zeros_like(lstm.bias),
        }
        for head in ("actor.0.weight", "critic.0.weight"):
            weights[head] = weights[head].astype(np.float64) / EPS
    return PPOTorchModelSaveFileFormat(
        weights=ordered(weights),
        trunk_sizes=policy.trunk_sizes,
        lstm_size=cells,
        lstm_layers=layers,
        head_sizes=policy.head_sizes,
        activation=policy.activation,
        lstm_use_prev_action=False,
        lstm_use_prev_reward=False,
    )


class ReferenceAgent:
    """The original policy in an environment, in float64, sampled as POSGGym samples.

    Parameters
    ----------
    policy
        The policy.
    model
        POSGGym's model of the environment.
    agent
        The agent id to play.

    Raises
    ------
    ConversionError
        If the policy does not fit the environment's spaces.
    """

    def __init__(
        self, policy: PPOPolicyData, model: posggym.POSGModel[Any, Any, Any], agent: str
    ) -> None:
        obs_space, act_space = (
            model.observation_spaces[agent],
            model.action_spaces[agent],
        )
        self.obs_processor = derived_processor(obs_space)
        self.action_processor = derived_action_processor(act_space)
        self._process = make_processor(self.obs_processor, obs_space)
        self._action = make_processor(self.action_processor, act_space)
        seen = spaces.flatdim(self._process.get_processed_space())
        space = self._action.get_processed_space()
        outputs = (
            int(space.n)
            if isinstance(space, spaces.Discrete)
            else 2 * spaces.flatdim(space)
        )
        found = policy.observation_size, policy.output_size
        if (seen, outputs) != found:
            raise ConversionError(
                f"the policy maps {found[0]} numbers to {found[1]} outputs, but agent "
                f"{agent} of {policy.env_name} needs {seen} and {outputs}; is it for "
                "other arguments of the environment?"
            )
        self._discrete = isinstance(space, spaces.Discrete)
        self._network = Network(actor_layers(policy), policy.activation)
        self._act = self._network.start()
        self._rng, _ = seeding.np_random(0)

    def reset(self, *, seed: int) -> None:
        """Begin an episode."""
        self._act = self._network.start()
        self._rng, _ = seeding.np_random(seed=seed)

    def distribution(self, observation: Any) -> np.ndarray:
        """Return the action's probabilities, or means and standard deviations (2, n).

        Moves the policy on by one observation.
        """
        seen = np.asarray(self._process(observation), dtype=np.float64)
        outputs = self._act(seen)
        if not self._discrete:
            mean, log_stdev = np.split(outputs, 2)
            return np.stack([mean, np.exp(log_stdev)])
        powers = np.exp(outputs - outputs.max())
        return np.asarray(powers / powers.sum())

    def step(self, observation: Any) -> Any:
        """Return an action for the next observation."""
        return self.sample(self.distribution(observation))

    def sample(self, parameters: np.ndarray) -> Any:
        """Return an action from what `distribution` returned."""
        sampler: ActionDistribution
        if self._discrete:
            sampler = DiscreteActionDistribution(
                dict(enumerate(parameters.tolist())), self._rng
            )
        else:
            sampler = NormalActionDistribution(*parameters, self._rng)
        return self._action.unprocess(sampler.sample())


@one_thread()
def prove(
    policy: PPOPolicyData,
    file: Path,
    env: posggym.Env[Any, Any, Any],
    agent: str,
    min_observations: int = 1000,
) -> tuple[int, float]:
    """Compare a converted policy with the original one on real episodes.

    The original plays `agent`, the others act at random; POSGGym's own policy, loaded
    from the file, is asked on the same observations.

    Returns
    -------
    tuple of int and float
        Number of observations, and the largest difference of a probability, or of a
        mean or standard deviation.
    """
    original = ReferenceAgent(policy, env.model, agent)
    converted = PPOPolicy.load_from_path(
        env.model,
        agent,
        "proof",
        file,
        obs_processor_cls=getattr(processors, original.obs_processor[0]),
        obs_processor_config=original.obs_processor[1],
        action_processor_cls=getattr(processors, original.action_processor[0]),
        action_processor_config=original.action_processor[1],
    )
    for space in env.action_spaces.values():
        space.seed(0)
    count, largest, seed = 0, 0.0, 0
    while count < min_observations:
        observations, _ = env.reset(seed=seed)
        original.reset(seed=seed)
        state, done = converted.get_initial_state(), False
        seed += 1
        while not done:
            actions = {i: env.action_spaces[i].sample() for i in env.agents}
            if agent in env.agents:
                expected = original.distribution(observations[agent])
                state = converted.get_next_state(None, observations[agent], state)
                gap = np.abs(
                    np.float64(state["action_probs"]).ravel() - expected.ravel()
                )
                largest, count = max(largest, float(gap.max())), count + 1
                actions[agent] = original.sample(expected)
            observations, _, _, _, done, _ = env.step(actions)
    return count, largest
