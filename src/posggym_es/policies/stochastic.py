"""Stochastic policies in POSGGym's architecture, which PPO trains.

The workflow reads them when it starts, so Gymnasium, POSGGym and PyTorch, whose imports
take seconds, are imported on demand.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from typing_extensions import Self

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.networks import ACTIVATIONS, LSTM, Layer
from pgpelib.utils.plain_data import is_line
from posggym_es.models.network_weights import check_weights, first_weight
from posggym_es.models.processors import ProcessorSpec
from posggym_es.policies.convertible import ConversionError
from posggym_es.policies.foreign import CATEGORICAL, GAUSSIAN, ForeignPolicy
from posggym_es.policies.steps import Dense

if TYPE_CHECKING:
    import posggym
    from gymnasium import spaces

    from posggym_es.policies.convertible import ConvertedPolicy, ReferenceAgent


@dataclasses.dataclass(frozen=True)
class StochasticPolicy:
    """A stochastic policy with trunk, optional LSTM, actor and critic.

    The actor's outputs are the logits of discrete actions, or the means and log
    standard deviations of continuous actions.

    Parameters
    ----------
    weights
        float32 arrays, keyed by PyTorch's names.
    trunk_sizes, head_sizes
        Sizes of hidden layers before the LSTM, and of actor and critic.
    lstm_size, lstm_layers
        Cells and layers of the LSTM; 0 and 0 for a feed-forward policy.
    activation
        "tanh" or "relu".
    env_name, env_config
        "posggym:" and the id of the environment, and its keyword arguments.
    deterministic
        Whether the most likely action is taken instead of one by chance.
    metadata
        Metadata: algorithm, policy_id, update, timesteps.

    Raises
    ------
    ValueError
        If weights are missing, unexpected, of a wrong shape, or not finite.
    """

    file_format: ClassVar[str] = "posggym-es-ppo-policy"
    proved_in_self_play: ClassVar[bool] = False

    weights: dict[str, np.ndarray]
    trunk_sizes: list[int]
    head_sizes: list[int]
    lstm_size: int
    lstm_layers: int
    activation: str
    env_name: str
    env_config: dict[str, Any]
    deterministic: bool = False
    metadata: PolicyMetadata = dataclasses.field(default_factory=PolicyMetadata)

    def __post_init__(self) -> None:
        if self.activation not in list(ACTIVATIONS):
            raise ValueError(f"unknown activation {self.activation!r}")
        if not isinstance(self.deterministic, bool):
            raise ValueError("deterministic is neither true nor false")
        check_weights(
            self.weights,
            self.trunk_sizes,
            self.lstm_size,
            self.lstm_layers,
            self.head_sizes,
        )

    @property
    def observation_size(self) -> int:
        """Length of the observation that the network sees."""
        name = first_weight(self.trunk_sizes, self.lstm_layers)
        return int(self.weights[name].shape[-1])

    @property
    def output_size(self) -> int:
        """Outputs of the actor: logits, or means and log standard deviations."""
        return len(self.weights[f"actor.{2 * len(self.head_sizes)}.bias"])

    @property
    def outputs(self) -> str:
        """What the network gives, for messages."""
        return f"{self.output_size} outputs"

    def outputs_for(self, action_space: spaces.Space[Any]) -> str:
        """Return what `outputs` must be for a (processed) action space."""
        from gymnasium import spaces

        numbers = 1 if isinstance(action_space, spaces.Discrete) else 2
        return f"{numbers * spaces.flatdim(action_space)} outputs"

    @property
    def actor_layers(self) -> list[Layer]:
        """Trunk, LSTMs and actor, float64."""
        weights = {
            name: array.astype(np.float64) for name, array in self.weights.items()
        }

        def linear(name: str) -> Layer:
            return weights[f"{name}.weight"], weights[f"{name}.bias"]

        return [
            *(linear(f"trunk.{2 * i}") for i in range(len(self.trunk_sizes))),
            *(
                LSTM(
                    weights[f"lstm.weight_ih_l{i}"],
                    weights[f"lstm.weight_hh_l{i}"],
                    weights[f"lstm.bias_ih_l{i}"] + weights[f"lstm.bias_hh_l{i}"],
                )
                for i in range(self.lstm_layers)
            ),
            *(linear(f"actor.{2 * i}") for i in range(len(self.head_sizes) + 1)),
        ]

    def processors_for(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
    ) -> tuple[ProcessorSpec, ProcessorSpec]:
        """Return the processors that suit the spaces, which PPO is trained with."""
        from posggym_es.tasks.posggym_task import (
            derived_action_processor,
            derived_processor,
        )

        return (
            ProcessorSpec(*derived_processor(observation_space)),
            ProcessorSpec(*derived_action_processor(action_space)),
        )

    def with_metadata(self, metadata: PolicyMetadata) -> Self:
        """Return the same policy with other metadata."""
        return dataclasses.replace(self, metadata=metadata)

    def to_posggym(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        action_processor: ProcessorSpec | None = None,
    ) -> ConvertedPolicy:
        """Express the policy in POSGGym's format, see `ConvertiblePolicy`."""
        from posggym_es.policies.lossless import convert_stochastic

        agent_spaces = observation_space, action_space
        processors = self.processors_for(*agent_spaces)
        if action_processor not in (None, processors[1]):
            raise ConversionError(
                "a stochastic policy keeps the action processor that it was trained "
                f"with, {processors[1].name}; leave the action processor out"
            )
        if self.deterministic:
            return self._most_likely(*agent_spaces).to_posggym(*agent_spaces)
        return convert_stochastic(self, *processors)

    def reference_agent(
        self, model: posggym.POSGModel[Any, Any, Any], agent: str
    ) -> ReferenceAgent:
        """Return the policy as a player of an agent id, see `ConvertiblePolicy`."""
        from posggym_es.policies.reference_agents import StochasticAgent

        if self.deterministic:
            spaces = model.observation_spaces[agent], model.action_spaces[agent]
            return self._most_likely(*spaces).reference_agent(model, agent)
        return StochasticAgent(self, model, agent)

    def _most_likely(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
    ) -> ForeignPolicy:
        """Return the policy without chance, for an agent with the given spaces."""
        from gymnasium import spaces

        *others, last = self.actor_layers
        hidden = [
            layer if isinstance(layer, LSTM) else Dense(*layer, self.activation)
            for layer in others
        ]
        obs_processor, action_processor = self.processors_for(
            observation_space, action_space
        )
        return ForeignPolicy(
            [*hidden, Dense(last[0], last[1])],
            CATEGORICAL if isinstance(action_space, spaces.Discrete) else GAUSSIAN,
            self.env_name,
            self.env_config,
            obs_processor=obs_processor,
            action_processor=action_processor,
            metadata=self.metadata,
        ).without_chance()

    def training_episodes(
        self, env_id: str, endless_length: int
    ) -> Callable[[int], float] | None:
        """Return None, because the trainer is not available."""
        return None

    def to_tensors(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the policy as arrays and plain data, without its metadata."""
        fields = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        del fields["metadata"]
        if not self.deterministic:
            # As files had it before.
            del fields["deterministic"]
        return fields.pop("weights"), fields

    @classmethod
    def from_tensors(
        cls,
        tensors: dict[str, np.ndarray],
        fields: dict[str, Any],
        metadata: PolicyMetadata,
    ) -> Self:
        """Inverse of `to_tensors`, see `ConvertiblePolicy`."""
        policy = cls(tensors, **fields, metadata=metadata)
        if not is_line(policy.env_name) or not isinstance(policy.env_config, dict):
            raise ValueError("env_name or env_config are not those of a policy")
        return policy
