"""The interface of policies that can be registered with POSGGym."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from typing_extensions import Self

from pgpelib.policies.metadata import PolicyMetadata
from posggym_es.models.processors import ProcessorSpec

if TYPE_CHECKING:
    import numpy as np
    import posggym
    from gymnasium import spaces
    from posggym.agents.torch_policy import PPOTorchModelSaveFileFormat


class ConversionError(ValueError):
    """POSGGym's format cannot express a policy; the message has the reason."""


@dataclasses.dataclass(frozen=True)
class ConvertedPolicy:
    """A policy in POSGGym's format with the processors that it must be registered with.

    Parameters
    ----------
    model
        The fields of POSGGym's policy file.
    obs_processor, action_processor
        Processors between the environment and the network.
    """

    model: PPOTorchModelSaveFileFormat
    obs_processor: ProcessorSpec
    action_processor: ProcessorSpec


class ReferenceAgent(Protocol):
    """A policy before its conversion, which plays one agent in float64."""

    def reset(self, *, seed: int) -> None:
        """Start an episode."""

    def decide(self, observation: Any) -> Any:
        """Process the next observation, and return the action or its distribution.

        For a deterministic policy, this is the action. For a stochastic policy, it is
        the probabilities of discrete actions, shape (n,), or the means and standard
        deviations of continuous actions, shape (2, n).
        """

    def act(self, decision: Any) -> Any:
        """Return an action of the environment, given the result of `decide`."""

    def step(self, observation: Any) -> Any:
        """Return the action for the next observation."""


def outputs_text(count: int, kind: str) -> str:
    """Return the outputs of a network of a "box" or "discrete" policy, in words."""
    return f"{count} outputs ({kind})"


class ConvertiblePolicy(Protocol):
    """A trained policy that can be converted to POSGGym's format.

    All steps after reading a policy use only these members.
    """

    file_format: ClassVar[str]
    """Name of the format in files of `posggym_es.policies.policy_file`."""
    proved_in_self_play: ClassVar[bool]
    """Whether it plays all agents while its conversion is proved; otherwise, the other
    agents act randomly. A policy with a role always plays only that agent."""

    @property
    def deterministic(self) -> bool:
        """Whether it always takes the same action after the same observations."""

    @property
    def env_name(self) -> str:
        """The training environment, with prefix."""

    @property
    def env_config(self) -> dict[str, Any]:
        """Keyword arguments of the training environment."""

    @property
    def metadata(self) -> PolicyMetadata:
        """Metadata of the policy."""

    @property
    def observation_size(self) -> int:
        """Length of the observation that the network sees."""

    @property
    def outputs(self) -> str:
        """The network's outputs, as in "2 outputs (box)", for messages."""

    def outputs_for(self, action_space: spaces.Space[Any]) -> str:
        """Return the `outputs` that a (processed) action space requires."""

    def processors_for(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
    ) -> tuple[ProcessorSpec, ProcessorSpec]:
        """Return the processors between an agent's spaces and the network."""

    def with_metadata(self, metadata: PolicyMetadata) -> Self:
        """Return the same policy with other metadata."""

    def to_posggym(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        action_processor: ProcessorSpec | None = None,
    ) -> ConvertedPolicy:
        """Express the policy in POSGGym's format.

        Parameters
        ----------
        observation_space, action_space
            Spaces of an agent that the policy plays.
        action_processor
            Processor to register with (Identity or Rescale) instead of the default.

        Raises
        ------
        ConversionError
            If the policy cannot be expressed.
        """

    def reference_agent(
        self, model: posggym.POSGModel[Any, Any, Any], agent: str
    ) -> ReferenceAgent:
        """Return the policy as a player of an agent.

        Raises
        ------
        ValueError
            If the policy does not match the agent's spaces.
        """

    def training_episodes(
        self, env_id: str, endless_length: int
    ) -> Callable[[int], float] | None:
        """Return a function that plays episodes like the trainer, or None.

        Parameters
        ----------
        env_id
            The environment that the policy is registered for, without prefix.
        endless_length
            Maximum steps per episode if the environment has no time limit.

        Returns
        -------
        callable or None
            From the seed of an episode to its return.
        """

    def to_tensors(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the policy as arrays and plain data, without its metadata."""

    @classmethod
    def from_tensors(
        cls,
        tensors: dict[str, np.ndarray],
        fields: dict[str, Any],
        metadata: PolicyMetadata,
    ) -> Self:
        """Inverse of `to_tensors`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they are not those of a policy.
        """
