"""Players with the original policies, for comparison with converted ones."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

import numpy as np
import posggym
from gymnasium import spaces
from posggym.agents.utils import processors
from posggym.agents.utils.action_distributions import (
    ActionDistribution,
    DiscreteActionDistribution,
    NormalActionDistribution,
)
from posggym.utils import seeding

from pgpelib.policies.networks import Network
from posggym_es.policies.foreign import CATEGORICAL, SQUASHED
from posggym_es.policies.lossless import unit_change
from posggym_es.policies.policy_checks import check_fits
from posggym_es.policies.steps import StepNetwork
from posggym_es.tasks.posggym_task import make_processor

if TYPE_CHECKING:
    from posggym_es.policies.convertible import ConvertiblePolicy
    from posggym_es.policies.deterministic import DeterministicPolicy
    from posggym_es.policies.foreign import ForeignPolicy
    from posggym_es.policies.stochastic import StochasticPolicy


class _NetworkAgent(abc.ABC):
    """A network between the processors of an agent id, see `ReferenceAgent`.

    Parameters
    ----------
    policy
        The policy.
    network
        Its network, from processed observations to outputs.
    model
        POSGGym's model of the environment.
    agent
        The agent id to play.

    Raises
    ------
    ValueError
        If the policy does not fit the agent's spaces.
    """

    def __init__(
        self,
        policy: ConvertiblePolicy,
        network: Network | StepNetwork,
        model: posggym.POSGModel[Any, Any, Any],
        agent: str,
    ) -> None:
        check_fits(policy, model, agent)
        agent_spaces = model.observation_spaces[agent], model.action_spaces[agent]
        self._obs_processor, self.action_processor = (
            make_processor((spec.name, spec.config), space)
            for spec, space in zip(
                policy.processors_for(*agent_spaces), agent_spaces, strict=True
            )
        )
        self._network = network
        self._forward = network.start()

    def reset(self, *, seed: int) -> None:
        """Start an episode."""
        self._forward = self._network.start()

    def step(self, observation: Any) -> Any:
        """Return the action for the next observation."""
        return self.act(self.decide(observation))

    @abc.abstractmethod
    def decide(self, observation: Any) -> Any:
        """Process the next observation, and return the action or its distribution."""

    @abc.abstractmethod
    def act(self, decision: Any) -> Any:
        """Return an action of the environment, given the result of `decide`."""

    def _outputs(self, observation: Any) -> np.ndarray:
        return self._forward(np.asarray(self._obs_processor(observation), np.float64))


class _ActingAgent(_NetworkAgent):
    """A deterministic policy as a player; a decision is an action."""

    def act(self, decision: Any) -> Any:
        """Return the action."""
        return decision


class DeterministicAgent(_ActingAgent):
    """A policy of this trainer as a player."""

    def __init__(
        self,
        policy: DeterministicPolicy,
        model: posggym.POSGModel[Any, Any, Any],
        agent: str,
    ) -> None:
        super().__init__(policy, policy.network(), model, agent)
        self._action = policy.action

    def decide(self, observation: Any) -> Any:
        """Return the action for the next observation."""
        decoded = self._action.decode(self._outputs(observation))
        return _to_space(self.action_processor, decoded)


class _SamplingAgent(_NetworkAgent):
    """A stochastic policy as a player, sampled as POSGGym samples.

    A decision is the parameters of a distribution: probabilities, shape (n,), or means
    and standard deviations, shape (2, n).
    """

    def __init__(
        self,
        policy: ConvertiblePolicy,
        network: Network | StepNetwork,
        model: posggym.POSGModel[Any, Any, Any],
        agent: str,
    ) -> None:
        super().__init__(policy, network, model, agent)
        processed = self.action_processor.get_processed_space()
        self._discrete = isinstance(processed, spaces.Discrete)
        self._rng, _ = seeding.np_random(0)

    def reset(self, *, seed: int) -> None:
        """Start an episode."""
        super().reset(seed=seed)
        self._rng, _ = seeding.np_random(seed=seed)

    def decide(self, observation: Any) -> np.ndarray:
        """Return the parameters of the action's distribution."""
        outputs = self._outputs(observation)
        if not self._discrete:
            mean, log_stdev = np.split(outputs, 2)
            return np.stack([mean, np.exp(log_stdev)])
        return _softmax(outputs)

    def act(self, decision: np.ndarray) -> Any:
        """Return an action, drawn at random."""
        sampler: ActionDistribution
        if self._discrete:
            probabilities = dict(enumerate(decision.tolist()))
            sampler = DiscreteActionDistribution(probabilities, self._rng)
        else:
            sampler = NormalActionDistribution(*decision, self._rng)
        return self.action_processor.unprocess(sampler.sample())


class StochasticAgent(_SamplingAgent):
    """A policy of PPO as a player."""

    def __init__(
        self,
        policy: StochasticPolicy,
        model: posggym.POSGModel[Any, Any, Any],
        agent: str,
    ) -> None:
        network = Network(policy.actor_layers, policy.activation)
        super().__init__(policy, network, model, agent)


def foreign_agent(
    policy: ForeignPolicy, model: posggym.POSGModel[Any, Any, Any], agent: str
) -> DeterministicForeignAgent | StochasticForeignAgent:
    """Return a policy of another library as a player."""
    kind = DeterministicForeignAgent if policy.deterministic else StochasticForeignAgent
    return kind(policy, model, agent)


class DeterministicForeignAgent(_ActingAgent):
    """A deterministic policy of another library as a player."""

    def __init__(
        self,
        policy: ForeignPolicy,
        model: posggym.POSGModel[Any, Any, Any],
        agent: str,
    ) -> None:
        super().__init__(policy, policy.network(), model, agent)
        space = model.action_spaces[agent]
        trained = policy.trained_action_processor
        self._trained = make_processor((trained.name, trained.config), space)
        self._action = policy.action_for(space)
        self._squashed = policy.outputs_are == SQUASHED

    def decide(self, observation: Any) -> Any:
        """Return the action for the next observation."""
        outputs = self._outputs(observation)
        if self._squashed:
            low, high = self._action.low, self._action.high
            assert low is not None
            assert high is not None
            outputs = low + (high - low) * (np.tanh(outputs) + 1) / 2
        return _to_space(self._trained, self._action.decode(outputs))


class StochasticForeignAgent(_SamplingAgent):
    """A stochastic policy of another library as a player."""

    def __init__(
        self,
        policy: ForeignPolicy,
        model: posggym.POSGModel[Any, Any, Any],
        agent: str,
    ) -> None:
        super().__init__(policy, policy.network(), model, agent)
        if policy.outputs_are == CATEGORICAL:
            return
        space = model.action_spaces[agent]
        _, processor = policy.processors_for(model.observation_spaces[agent], space)
        # The decision is in the units that POSGGym's distribution has.
        self._factor, self._offset = unit_change(
            policy.action_for(space), policy.trained_action_processor, processor
        )

    def decide(self, observation: Any) -> np.ndarray:
        """Return the parameters of the action's distribution."""
        decision = super().decide(observation)
        if self._discrete:
            return decision
        mean, stdev = decision
        return np.stack([mean * self._factor + self._offset, stdev * self._factor])


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


def _to_space(processor: processors.Processor, decoded: Any) -> Any:
    action = processor.unprocess(decoded)
    if isinstance(action, np.ndarray):
        return action.astype(processor.input_space.dtype)
    return action
