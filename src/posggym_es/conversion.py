"""Lossless conversion of feed-forward policies to POSGGym's policy format.

POSGGym knows one network: trunk -> LSTM -> actor and critic, sampled from at every
step. A deterministic feed-forward policy is exact in it:

- Hidden layers become the trunk. Observation normalisation is folded into the first
  linear layer, the action processor's scaling into the last one.
- The last linear layer becomes the LSTM's cell candidate, scaled down by EPS, with the
  input and output gates saturated at 1 and the forget gate at 0. Then the LSTM's output
  is `tanh(tanh(EPS * z))`, whose distance from `EPS * z` is below half a unit in the
  last place of float32 while `|EPS * z| < 2e-4`; the actor multiplies by 1 / EPS, which
  is exact because EPS is a power of two.
- Box: the log standard deviations are LOG_STDEV, so sampling returns the mean. Larger
  outputs than the linear range are bent towards zero, but stay far outside the bounds
  that the action processor clips to.
- Discrete: the logits are multiplied until their softmax is one-hot.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import Any

import gymnasium
import numpy as np
import posggym
import torch
from gymnasium import spaces
from posggym.agents.torch_policy import PPOTorchModelSaveFileFormat
from posggym.agents.utils import processors

from pgpelib.policies import ActionSpec, Layer, SavedPolicy
from pgpelib.tasks.posggym_task import RESCALE_CONFIG, make_processor
from posggym_es.spec import ProcessorSpec

EPS = 2.0**-60
# sigmoid(100) is 1 and sigmoid(-200) is 0 in float32.
OPEN_GATE = 100.0
CLOSED_GATE = -200.0
# exp(-80) = 1.8e-35: adding noise of that size changes no float32 of ordinary size.
LOG_STDEV = -80.0
# The LSTM's outputs are below 1, so logits are below LOGIT_SCALE and do not overflow;
# outputs of the policy that differ at all in float32 give logits that are far apart.
LOGIT_SCALE = 2.0**112


class ConversionError(ValueError):
    """A policy that cannot be expressed in POSGGym's format, with the reason."""


@dataclasses.dataclass(frozen=True)
class ConvertedPolicy:
    """A policy in POSGGym's format with the processors it has to be registered with.

    Parameters
    ----------
    model
        The fields of POSGGym's policy file.
    obs_processor, action_processor
        What stands between the environment and the network.
    """

    model: PPOTorchModelSaveFileFormat
    obs_processor: ProcessorSpec
    action_processor: ProcessorSpec


def convert(
    policy: SavedPolicy, action_processor: ProcessorSpec | None = None
) -> ConvertedPolicy:
    """Express a policy in POSGGym's format.

    Parameters
    ----------
    policy
        Linear or multi-layer, tanh or relu, for a Box or Discrete action space.
    action_processor
        Register with this processor (Identity or Rescale) instead of the derived one.

    Returns
    -------
    ConvertedPolicy
        Weights are float32.

    Raises
    ------
    ConversionError
        If the policy cannot be expressed.
    """
    processor = action_processor or derived_action_processor(policy)
    layers = list(policy.folded_layers)
    if policy.action.kind == "box":
        layers[-1] = _to_processed_units(layers[-1], policy, processor)
    elif processor.name != "IdentityProcessor":
        raise ConversionError(
            f"discrete actions cannot go through a {processor.name}; "
            "leave the action processor out"
        )
    *hidden, (weight, bias) = layers
    outputs, inputs = weight.shape
    weights: OrderedDict[str, np.ndarray] = OrderedDict()
    for number, (hidden_weight, hidden_bias) in enumerate(hidden):
        # Activations take the odd places of the Sequential.
        weights[f"trunk.{2 * number}.weight"] = hidden_weight
        weights[f"trunk.{2 * number}.bias"] = hidden_bias
    # PyTorch's order of the gates: input, forget, cell candidate, output.
    zero_weight, ones = np.zeros((outputs, inputs)), np.ones(outputs)
    weights["lstm.weight_ih_l0"] = np.concatenate(
        [zero_weight, zero_weight, EPS * weight, zero_weight]
    )
    weights["lstm.weight_hh_l0"] = np.zeros((4 * outputs, outputs))
    weights["lstm.bias_ih_l0"] = np.concatenate(
        [OPEN_GATE * ones, CLOSED_GATE * ones, EPS * bias, OPEN_GATE * ones]
    )
    weights["lstm.bias_hh_l0"] = np.zeros(4 * outputs)
    weights["actor.0.weight"], weights["actor.0.bias"] = _actor(policy.action, outputs)
    weights["critic.0.weight"] = np.zeros((1, outputs))
    weights["critic.0.bias"] = np.zeros(1)
    return ConvertedPolicy(
        PPOTorchModelSaveFileFormat(
            weights=OrderedDict((k, _tensor(k, v)) for k, v in weights.items()),
            trunk_sizes=[int(w.shape[0]) for w, _ in hidden],
            lstm_size=int(outputs),
            lstm_layers=1,
            head_sizes=[],
            activation=policy.activation,
            lstm_use_prev_action=False,
            lstm_use_prev_reward=False,
        ),
        ProcessorSpec(*policy.obs_processor),
        processor,
    )


def derived_action_processor(policy: SavedPolicy) -> ProcessorSpec:
    """Return the processor that a policy is registered with by default.

    A policy that acted in processed units keeps its processor. One that acted in the
    environment's units is rescaled when the bounds are finite, because clipping to the
    bounds is part of the policy and only the rescaling processor clips.
    """
    action = policy.action
    trained_with = ProcessorSpec(*policy.action_processor)
    if action.kind == "discrete" or trained_with.name != "IdentityProcessor":
        return trained_with
    assert action.low is not None
    assert action.high is not None
    if np.isfinite(action.low).all() and np.isfinite(action.high).all():
        return ProcessorSpec("RescaleProcessor", dict(RESCALE_CONFIG))
    return trained_with


def _to_processed_units(
    layer: Layer, policy: SavedPolicy, processor: ProcessorSpec
) -> Layer:
    """Return the last layer such that `processor.unprocess` undoes the change."""
    trained_with = ProcessorSpec(*policy.action_processor)
    if processor == trained_with:
        if processor.name == "IdentityProcessor" and _is_bounded(policy.action):
            raise ConversionError(
                "the policy clips its actions, which an IdentityProcessor cannot; "
                "register it with a RescaleProcessor"
            )
        return layer
    if trained_with.name != "IdentityProcessor" or processor.name != "RescaleProcessor":
        raise ConversionError(
            f"a policy trained with {trained_with.name} for actions cannot be "
            f"registered with {processor.name}"
        )
    if not processor.config.get("clip", True) and _is_bounded(policy.action):
        raise ConversionError(
            "the policy clips its actions; its RescaleProcessor needs clip: true"
        )
    low, high = policy.action.low, policy.action.high
    assert low is not None
    assert high is not None
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (high > low).all()):
        raise ConversionError(
            "the action bounds are infinite or equal, so actions cannot be rescaled"
        )
    min_val = processor.config.get("min_val", -1.0)
    max_val = processor.config.get("max_val", 1.0)
    factor = (max_val - min_val) / (high - low)
    weight, bias = layer
    return weight * factor[:, None], (bias - low) * factor + min_val


def _is_bounded(action: ActionSpec) -> bool:
    assert action.low is not None
    assert action.high is not None
    return bool(np.isfinite(action.low).any() or np.isfinite(action.high).any())


def _actor(action: ActionSpec, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    if action.kind == "discrete":
        # Equal outputs stay equal at any scale, and argmax takes the first of them.
        # This is below the resolution of all logits but those of outputs that are
        # exactly zero, where it breaks the tie.
        tie_break = -200.0 * np.arange(outputs)
        return LOGIT_SCALE * np.eye(outputs), tie_break
    identity = np.eye(outputs) / EPS
    weight = np.concatenate([identity, np.zeros((outputs, outputs))])
    bias = np.concatenate([np.zeros(outputs), np.full(outputs, LOG_STDEV)])
    return weight, bias


def _tensor(name: str, array: np.ndarray) -> torch.Tensor:
    tensor = torch.tensor(array, dtype=torch.float32)
    if not torch.isfinite(tensor).all():
        raise ConversionError(f"{name} does not fit into float32")
    return tensor


@dataclasses.dataclass(frozen=True)
class Proof:
    """How closely a converted policy acts like the trained one.

    Parameters
    ----------
    observations
        Number of observations compared, from rollouts of the trained policy.
    max_difference
        Largest difference of an action component, as a share of the action range.
        None for Discrete.
    different_actions
        Number of different actions. None for Box.
    ties
        Observations among `different_actions` that float32 cannot decide: the two
        largest outputs agree to within its precision.
    """

    observations: int
    max_difference: float | None
    different_actions: int | None
    ties: int

    # The promise of the conversion.
    tolerance: float = 1e-5

    @property
    def holds(self) -> bool:
        """Whether the converted policy acts like the trained one."""
        if self.max_difference is not None:
            return self.max_difference <= self.tolerance
        assert self.different_actions is not None
        return self.different_actions <= self.ties


def prove(
    policy: SavedPolicy,
    converted_policy: posggym.agents.Policy[Any, Any],
    env: posggym.Env[Any, Any, Any],
    min_observations: int = 1000,
    seed: int = 0,
) -> Proof:
    """Compare a converted policy with the trained one on real rollouts.

    The trained policy plays (every agent of the environment); the converted one, run
    by POSGGym's own `PPOPolicy`, is asked for its action on each observation of the
    agent that it was made for.

    Parameters
    ----------
    policy
        The trained policy, evaluated in float64.
    converted_policy
        What `posggym.agents.make` or `PPOPolicy.load_from_path` returned.
    env
        The environment that the policy will be registered for.
    min_observations
        Play episodes until this many observations are compared.
    seed
        Seed of the first episode; later ones count up.
    """
    network = policy.network()
    agent = converted_policy.agent_id
    obs_processors = {
        i: make_processor(policy.obs_processor, space)
        for i, space in env.observation_spaces.items()
    }
    action_processors = {
        i: make_processor(policy.action_processor, space)
        for i, space in env.action_spaces.items()
    }
    space = env.action_spaces[agent]
    scale = _action_range(space)
    count, different, ties, largest = 0, 0, 0, 0.0
    while count < min_observations:
        observations, _ = env.reset(seed=seed)
        converted_policy.reset(seed=seed)
        seed += 1
        done = False
        while not done:
            actions = {}
            for i in env.agents:
                outputs = network(np.asarray(obs_processors[i](observations[i])))
                decoded = policy.action.decode(outputs)
                actions[i] = _to_space(action_processors[i], decoded)
                if i != agent:
                    continue
                answer = converted_policy.step(observations[i])
                count += 1
                if scale is not None:
                    gap = np.abs(np.float64(answer) - np.float64(actions[i])) / scale
                    largest = max(largest, float(gap.max()))
                elif int(answer) != actions[i]:
                    different += 1
                    ties += _is_tie(outputs)
            observations, _, _, _, done, _ = env.step(actions)
    if scale is None:
        return Proof(count, None, different, ties)
    return Proof(count, largest, None, 0)


def _to_space(processor: processors.Processor, decoded: Any) -> Any:
    action = processor.unprocess(decoded)
    if isinstance(action, np.ndarray):
        return action.astype(processor.input_space.dtype)
    return action


def _action_range(space: gymnasium.Space[Any]) -> np.ndarray | None:
    """Return the width of each component (1 where infinite); None if discrete."""
    if isinstance(space, spaces.Discrete):
        return None
    assert isinstance(space, spaces.Box)
    width = np.float64(space.high) - np.float64(space.low)
    return np.where(np.isfinite(width), width, 1.0)


def _is_tie(outputs: np.ndarray) -> bool:
    second, first = np.sort(outputs)[-2:]
    scale = max(abs(first), abs(second), float(np.abs(outputs).max()))
    return bool(first - second <= 8 * np.finfo(np.float32).eps * scale)
