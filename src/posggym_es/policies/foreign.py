"""Policies of other libraries: their network, and how its outputs become actions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from typing_extensions import Self

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.networks import LSTM, Vector
from pgpelib.policies.policy import ActionSpec
from pgpelib.utils.plain_data import is_integer, is_line
from posggym_es.models.processors import RESCALE_CONFIG, ProcessorSpec
from posggym_es.policies.convertible import ConversionError, outputs_text
from posggym_es.policies.steps import (
    Dense,
    Normalization,
    Step,
    StepNetwork,
    check_steps,
    inputs_of,
    is_linear,
    only_means,
    outputs_of,
)

if TYPE_CHECKING:
    import posggym
    from gymnasium import spaces

    from posggym_es.policies.convertible import ConvertedPolicy, ReferenceAgent

# How outputs become actions, and whether without chance.
ARGMAX, CATEGORICAL = "argmax", "categorical"
CLIPPED, SQUASHED, GAUSSIAN = "clipped", "squashed", "gaussian"
OUTPUTS = {
    ARGMAX: True,
    CATEGORICAL: False,
    CLIPPED: True,
    SQUASHED: True,
    GAUSSIAN: False,
}
_DISCRETE = (ARGMAX, CATEGORICAL)
# What a stochastic policy becomes that shall act without chance.
_MODES = {CATEGORICAL: ARGMAX, GAUSSIAN: CLIPPED}
_IDENTITY = ProcessorSpec("IdentityProcessor")


@dataclasses.dataclass(frozen=True)
class ForeignPolicy:
    """A policy that another library trained.

    Parameters
    ----------
    steps
        The layers of the network.
    outputs_are
        How outputs become actions: "argmax" (the index of the largest), "categorical"
        (the logits of a distribution), "clipped" (to the bounds of a Box), "squashed"
        (tanh, scaled to the bounds) or "gaussian" (means and log standard deviations
        of actions, which are clipped to the bounds).
    env_name, env_config
        The training environment and its keyword arguments.
    normalization
        Normalisation of observations; None for none.
    action_low, action_high
        Bounds of actions that the policy was trained with, shape (n,), to be compared
        with the environment's; None if unknown.
    obs_processor
        POSGGym's processor that gives the network's observations. None for
        `IdentityProcessor` for a one-dimensional Box, and `FlattenProcessor` for other
        spaces.
    action_processor
        POSGGym's processor that the policy's actions went through in training; None for
        actions of the environment itself.
    metadata
        Further information.

    Raises
    ------
    ValueError
        If the parts do not fit together, or a number is NaN or infinite.
    """

    file_format: ClassVar[str] = "posggym-es-foreign-policy"
    proved_in_self_play: ClassVar[bool] = False

    steps: list[Step]
    outputs_are: str
    env_name: str
    env_config: dict[str, Any]
    normalization: Normalization | None = None
    action_low: Vector | None = None
    action_high: Vector | None = None
    obs_processor: ProcessorSpec | None = None
    action_processor: ProcessorSpec | None = None
    metadata: PolicyMetadata = dataclasses.field(default_factory=PolicyMetadata)

    def __post_init__(self) -> None:
        check_steps(self.steps)
        if self.outputs_are not in list(OUTPUTS):
            raise ValueError(f"outputs are {self.outputs_are!r}; choose {_names()}")
        if not is_line(self.env_name) or not isinstance(self.env_config, dict):
            raise ValueError("env_name or env_config are not those of a policy")
        linear = is_linear(self.steps[-1])
        if self.outputs_are == GAUSSIAN and not (linear and self._size % 2 == 0):
            raise ValueError(
                "the last layer does not give one log standard deviation per mean"
            )
        if self.normalization is not None:
            self._check_normalization(self.normalization)

    def _check_normalization(self, normalization: Normalization) -> None:
        for name in ("mean", "stdev"):
            array = getattr(normalization, name)
            if array.dtype.kind != "f" or array.shape != (self.observation_size,):
                raise ValueError(
                    f"observation statistics of shape {array.shape} do not match the "
                    f"network's {self.observation_size} inputs"
                )
            if not np.isfinite(array).all():
                raise ValueError("an observation statistic is NaN or infinite")
        if not (normalization.stdev > 0).all():
            raise ValueError("a standard deviation of observations is not positive")
        if normalization.clip is not None and not 0 < normalization.clip < np.inf:
            raise ValueError("obs_clip is not a positive number")

    @property
    def deterministic(self) -> bool:
        """Whether it always takes the same action after the same observations."""
        return OUTPUTS[self.outputs_are]

    @property
    def observation_size(self) -> int:
        """Length of the observation that the network sees."""
        return inputs_of(self.steps[0])

    @property
    def _size(self) -> int:
        return outputs_of(self.steps[-1])

    @property
    def outputs(self) -> str:
        """What the network gives, for messages."""
        discrete = self.outputs_are in _DISCRETE
        return outputs_text(self._size, "discrete" if discrete else "box")

    def outputs_for(self, action_space: spaces.Space[Any]) -> str:
        """Return what `outputs` must be for a (processed) action space."""
        from gymnasium import spaces

        if isinstance(action_space, spaces.Discrete):
            return outputs_text(int(action_space.n), "discrete")
        numbers = 2 if self.outputs_are == GAUSSIAN else 1
        return outputs_text(numbers * spaces.flatdim(action_space), "box")

    def processors_for(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
    ) -> tuple[ProcessorSpec, ProcessorSpec]:
        """Return the processors that the policy is registered with by default."""
        from gymnasium import spaces

        flat = isinstance(observation_space, spaces.Box) and (
            len(observation_space.shape) == 1
        )
        seen = self.obs_processor or (
            _IDENTITY if flat else ProcessorSpec("FlattenProcessor")
        )
        acted = self.trained_action_processor
        if acted == _IDENTITY and isinstance(action_space, spaces.Box):
            width = action_space.high.astype(np.float64) - action_space.low
            if width.ndim == 1 and (np.isfinite(width) & (width > 0)).all():
                # It also clips, which is part of the policy.
                acted = ProcessorSpec("RescaleProcessor", dict(RESCALE_CONFIG))
        return seen, acted

    @property
    def trained_action_processor(self) -> ProcessorSpec:
        """The processor that the policy's actions went through in training."""
        return self.action_processor or _IDENTITY

    def action_for(self, action_space: spaces.Space[Any]) -> ActionSpec:
        """Return the actions that the policy gave in training.

        Raises
        ------
        ConversionError
            If they are not those of the space.
        """
        from pgpelib.tasks.gymnasium_task import action_spec
        from posggym_es.tasks.posggym_task import processed_space

        trained = self.trained_action_processor
        arguments = {"min_val": -1.0, "max_val": 1.0, **trained.config}
        space = processed_space((trained.name, arguments), action_space)
        action = action_spec(space, self.env_name)
        for ours, theirs in (
            (self.action_low, action.low),
            (self.action_high, action.high),
        ):
            if ours is not None and not (
                theirs is not None
                and ours.shape == theirs.shape
                and np.allclose(ours, theirs)
            ):
                raise ConversionError(
                    f"the policy was trained with the action bounds {ours}, but the "
                    f"environment has {theirs}; say which action_processor was between"
                )
        return action

    def network(self) -> StepNetwork:
        """Return the network, from processed observations to outputs."""
        return StepNetwork(self.steps, self.normalization)

    def without_chance(self) -> Self:
        """Return the policy that takes the most likely action."""
        outputs = _MODES.get(self.outputs_are, self.outputs_are)
        gaussian = self.outputs_are == GAUSSIAN
        steps = only_means(self.steps) if gaussian else self.steps
        return dataclasses.replace(self, steps=steps, outputs_are=outputs)

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
        from posggym_es.policies.lossless import convert_foreign

        obs_processor, derived = self.processors_for(observation_space, action_space)
        return convert_foreign(
            self,
            self.action_for(action_space),
            obs_processor,
            action_processor or derived,
        )

    def reference_agent(
        self, model: posggym.POSGModel[Any, Any, Any], agent: str
    ) -> ReferenceAgent:
        """Return the policy as a player of an agent id, see `ConvertiblePolicy`."""
        from posggym_es.policies.reference_agents import foreign_agent

        return foreign_agent(self, model, agent)

    def training_episodes(
        self, env_id: str, endless_length: int
    ) -> Callable[[int], float] | None:
        """Return None, because the trainer is not available."""
        return None

    def to_tensors(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return the policy as arrays and plain data, without its metadata."""
        tensors = {
            name: np.ascontiguousarray(array)
            for number, step in enumerate(self.steps)
            for name, array in _named_arrays(number, step).items()
        }
        normalization = self.normalization
        optional = {
            "obs_mean": None if normalization is None else normalization.mean,
            "obs_stdev": None if normalization is None else normalization.stdev,
            "action_low": self.action_low,
            "action_high": self.action_high,
        }
        tensors |= {name: x for name, x in optional.items() if x is not None}
        return tensors, {
            "activations": [
                None if isinstance(step, LSTM) else step.activation
                for step in self.steps
            ],
            "obs_clip": None if normalization is None else normalization.clip,
            "outputs_are": self.outputs_are,
            "env_name": self.env_name,
            "env_config": self.env_config,
            "obs_processor": _plain(self.obs_processor),
            "action_processor": _plain(self.action_processor),
        }

    @classmethod
    def from_tensors(
        cls,
        tensors: dict[str, np.ndarray],
        fields: dict[str, Any],
        metadata: PolicyMetadata,
    ) -> Self:
        """Inverse of `to_tensors`, see `ConvertiblePolicy`."""
        activations = fields["activations"]
        if not isinstance(activations, list):
            raise ValueError("activations are not those of a policy")
        mean, clip = tensors.get("obs_mean"), fields["obs_clip"]
        if not (clip is None or isinstance(clip, float) or is_integer(clip)):
            raise ValueError("obs_clip is not a number")
        return cls(
            steps=[
                _step(tensors, number, activation)
                for number, activation in enumerate(activations)
            ],
            outputs_are=fields["outputs_are"],
            env_name=fields["env_name"],
            env_config=fields["env_config"],
            normalization=None
            if mean is None
            else Normalization(mean, tensors["obs_stdev"], clip),
            action_low=tensors.get("action_low"),
            action_high=tensors.get("action_high"),
            obs_processor=_processor(fields["obs_processor"]),
            action_processor=_processor(fields["action_processor"]),
            metadata=metadata,
        )


def _names() -> str:
    return ", ".join(OUTPUTS)


def _plain(processor: ProcessorSpec | None) -> dict[str, Any] | None:
    return None if processor is None else dataclasses.asdict(processor)


def _processor(data: Any) -> ProcessorSpec | None:
    return None if data is None else ProcessorSpec.from_json(data)


def _named_arrays(number: int, step: Step) -> dict[str, np.ndarray]:
    names = LSTM._fields if isinstance(step, LSTM) else ("weight", "bias")
    return {f"layers.{number}.{name}": getattr(step, name) for name in names}


def _step(tensors: dict[str, np.ndarray], number: int, activation: Any) -> Step:
    prefix = f"layers.{number}."
    if activation is None:
        return LSTM(*(tensors[prefix + name] for name in LSTM._fields))
    return Dense(tensors[f"{prefix}weight"], tensors[f"{prefix}bias"], activation)
