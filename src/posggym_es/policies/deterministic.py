"""Deterministic policies, which evolution strategies train."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from gymnasium import spaces
from typing_extensions import Self

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.networks import LSTM, Layer
from pgpelib.policies.policy import ActionSpec, SavedPolicy
from pgpelib.policies.saving import checked
from pgpelib.tasks.registry import make_task
from pgpelib.utils.plain_data import is_integer
from posggym_es.models.processors import ProcessorSpec
from posggym_es.policies.convertible import outputs_text
from posggym_es.tasks.family import POSGGYM_PREFIX

if TYPE_CHECKING:
    import posggym

    from posggym_es.policies.convertible import ConvertedPolicy
    from posggym_es.policies.reference_agents import DeterministicAgent


class DeterministicPolicy(SavedPolicy):
    """A saved policy that takes the clipped or the largest output of its network."""

    file_format: ClassVar[str] = "posggym-es-policy"
    deterministic: ClassVar[bool] = True
    proved_in_self_play: ClassVar[bool] = True

    @classmethod
    def of(cls, policy: SavedPolicy) -> Self:
        """Create a convertible policy from a saved one."""
        fields = dataclasses.fields(policy)
        return cls(**{field.name: getattr(policy, field.name) for field in fields})

    @property
    def outputs(self) -> str:
        """What the network gives, for messages."""
        return outputs_text(self.action.output_size, self.action.kind)

    def outputs_for(self, action_space: spaces.Space[Any]) -> str:
        """Return what `outputs` must be for a (processed) action space."""
        kind = "discrete" if isinstance(action_space, spaces.Discrete) else "box"
        return outputs_text(spaces.flatdim(action_space), kind)

    def processors_for(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
    ) -> tuple[ProcessorSpec, ProcessorSpec]:
        """Return the processors that the policy was trained with."""
        return (
            ProcessorSpec(*self.obs_processor),
            ProcessorSpec(*self.action_processor),
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
        # On demand, because it imports PyTorch.
        from posggym_es.policies.lossless import convert

        return convert(self, action_processor)

    def reference_agent(
        self, model: posggym.POSGModel[Any, Any, Any], agent: str
    ) -> DeterministicAgent:
        """Return the policy as a player of an agent id, see `ConvertiblePolicy`."""
        from posggym_es.policies.reference_agents import DeterministicAgent

        return DeterministicAgent(self, model, agent)

    def training_episodes(
        self, env_id: str, endless_length: int
    ) -> Callable[[int], float]:
        """Return what plays episodes as the trainer does, see `ConvertiblePolicy`."""
        is_posggym = self.env_name.startswith(POSGGYM_PREFIX)
        task = make_task(
            (POSGGYM_PREFIX if is_posggym else "") + env_id,
            self.env_config,
            endless_length,
            role=self.metadata.role,
            partners=self.metadata.played_with,
            only_if_endless=True,
        )
        network = self.network()
        return lambda seed: task.rollout(network, seed).fitness

    def to_tensors(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the policy as arrays and plain data, without its metadata."""
        tensors: dict[str, np.ndarray] = {}
        for number, layer in enumerate(self.layers):
            names = LSTM._fields if isinstance(layer, LSTM) else ("weight", "bias")
            for name, array in zip(names, layer, strict=True):
                tensors[f"layers.{number}.{name}"] = np.ascontiguousarray(array)
        optional = {
            "obs_mean": self.obs_mean,
            "obs_stdev": self.obs_stdev,
            "action_low": self.action.low,
            "action_high": self.action.high,
        }
        tensors |= {
            name: np.ascontiguousarray(value, dtype=np.float64)
            for name, value in optional.items()
            if value is not None
        }
        return tensors, {
            "num_layers": len(self.layers),
            "activation": self.activation,
            "action": {"kind": self.action.kind, "n": self.action.n},
            "env_name": self.env_name,
            "env_config": self.env_config,
            "obs_processor": self.obs_processor,
            "action_processor": self.action_processor,
        }

    @classmethod
    def from_tensors(
        cls,
        tensors: dict[str, np.ndarray],
        fields: dict[str, Any],
        metadata: PolicyMetadata,
    ) -> Self:
        """Inverse of `to_tensors`, see `ConvertiblePolicy`."""
        action, number = fields["action"], fields["num_layers"]
        if (
            not isinstance(action, dict)
            or not is_integer(number)
            or number > len(tensors)
        ):
            raise ValueError("action or num_layers are not those of a policy")
        policy = SavedPolicy(
            layers=[_layer(tensors, layer) for layer in range(number)],
            activation=fields["activation"],
            obs_mean=tensors.get("obs_mean"),
            obs_stdev=tensors.get("obs_stdev"),
            action=ActionSpec(
                action["kind"],
                tensors.get("action_low"),
                tensors.get("action_high"),
                action["n"],
            ),
            env_name=fields["env_name"],
            env_config=fields["env_config"],
            obs_processor=fields["obs_processor"],
            action_processor=fields["action_processor"],
            metadata=metadata,
        )
        return cls.of(checked(policy))


def _layer(tensors: dict[str, np.ndarray], number: int) -> Layer:
    prefix = f"layers.{number}."
    if f"{prefix}weight_hh" in tensors:
        return LSTM(*(tensors[prefix + name] for name in LSTM._fields))
    return tensors[f"{prefix}weight"], tensors[f"{prefix}bias"]
