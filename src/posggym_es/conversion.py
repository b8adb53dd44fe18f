"""Lossless conversion of policies to POSGGym's policy format.

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

A policy with an LSTM has POSGGym's architecture already, so its weights are copied;
only the last layer changes, for the action processor and for actions without chance.
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

from pgpelib.networks import LSTM, Layer, Linear
from pgpelib.policies import ActionSpec, SavedPolicy
from pgpelib.tasks.posggym_task import RESCALE_CONFIG, make_processor
from posggym_es.spec import ProcessorSpec
from posggym_es.threads import one_thread

EPS = 2.0**-60
# sigmoid(100) is 1 and sigmoid(-200) is 0 in float32.
OPEN_GATE = 100.0
CLOSED_GATE = -200.0
# exp(-80) = 1.8e-35: adding noise of that size changes no float32 of ordinary size.
LOG_STDEV = -80.0
# Logits do not overflow (the LSTM's outputs are below 1, those of a head below 2^32),
# and outputs of the policy that differ at all in float32 give logits far apart.
PASS_THROUGH_LOGIT_SCALE = 2.0**112
HEAD_LOGIT_SCALE = 2.0**96


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
        Linear, multi-layer or with an LSTM, tanh or relu, for a Box or Discrete action
        space.
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
    layers = policy.folded_layers
    if policy.action.kind == "box":
        last = layers[-1]
        assert not isinstance(last, LSTM)
        layers[-1] = _to_processed_units(last, policy, processor)
    elif processor.name != "IdentityProcessor":
        raise ConversionError(
            f"discrete actions cannot go through a {processor.name}; "
            "leave the action processor out"
        )
    trunk, lstm, head = _as_recurrent(layers, policy.action)
    weights: OrderedDict[str, np.ndarray] = OrderedDict()
    weights |= _sequential("trunk", trunk)
    weights["lstm.weight_ih_l0"] = lstm.weight_ih
    weights["lstm.weight_hh_l0"] = lstm.weight_hh
    weights["lstm.bias_ih_l0"] = lstm.bias
    weights["lstm.bias_hh_l0"] = np.zeros_like(lstm.bias)
    weights |= _sequential("actor", head)
    # Nothing asks for values, but the format has a critic like the actor.
    critic = [(np.zeros_like(weight), np.zeros_like(bias)) for weight, bias in head]
    critic[-1] = critic[-1][0][:1], critic[-1][1][:1]
    weights |= _sequential("critic", critic)
    return ConvertedPolicy(
        PPOTorchModelSaveFileFormat(
            weights=OrderedDict((k, _tensor(k, v)) for k, v in weights.items()),
            trunk_sizes=[len(bias) for _, bias in trunk],
            lstm_size=int(lstm.weight_hh.shape[1]),
            lstm_layers=1,
            head_sizes=[len(bias) for _, bias in head[:-1]],
            activation=policy.activation,
            lstm_use_prev_action=False,
            lstm_use_prev_reward=False,
        ),
        ProcessorSpec(*policy.obs_processor),
        processor,
    )


def _sequential(name: str, layers: list[Linear]) -> dict[str, np.ndarray]:
    """Return the weights of a Sequential whose odd places are activations."""
    weights = {}
    for number, (weight, bias) in enumerate(layers):
        weights[f"{name}.{2 * number}.weight"] = weight
        weights[f"{name}.{2 * number}.bias"] = bias
    return weights


def _as_recurrent(
    layers: list[Layer], action: ActionSpec
) -> tuple[list[Linear], LSTM, list[Linear]]:
    """Return trunk, LSTM and actor of POSGGym's network."""
    linear = [layer for layer in layers if not isinstance(layer, LSTM)]
    if len(linear) == len(layers):
        *trunk, last = linear
        return trunk, pass_through(last), [_actor_of_pass_through(action)]
    place = next(i for i, layer in enumerate(layers) if isinstance(layer, LSTM))
    lstm = layers[place]
    assert isinstance(lstm, LSTM)
    actor = _actor(linear[-1], action, HEAD_LOGIT_SCALE)
    return linear[:place], lstm, [*linear[place:-1], actor]


def pass_through(layer: Linear) -> LSTM:
    """Return an LSTM whose output is EPS times that of a linear layer."""
    weight, bias = layer
    outputs = len(bias)
    # PyTorch's order of the gates: input, forget, cell candidate, output.
    zero_weight, ones = np.zeros_like(weight), np.ones(outputs)
    return LSTM(
        np.concatenate([zero_weight, zero_weight, EPS * weight, zero_weight]),
        np.zeros((4 * outputs, outputs)),
        np.concatenate(
            [OPEN_GATE * ones, CLOSED_GATE * ones, EPS * bias, OPEN_GATE * ones]
        ),
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
    layer: Linear, policy: SavedPolicy, processor: ProcessorSpec
) -> Linear:
    """Return the last layer such that `processor.unprocess` undoes the change."""
    trained_with = ProcessorSpec(*policy.action_processor)
    if processor == trained_with:
        if processor.name == "IdentityProcessor" and _is_bounded(policy.action):
            raise ConversionError(
                "the policy clips its actions, which an IdentityProcessor cannot; "
                "register it with a RescaleProcessor, which needs finite bounds"
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


def _actor_of_pass_through(action: ActionSpec) -> Linear:
    """Return the actor that follows an LSTM whose output is EPS times the policy's."""
    size = action.output_size
    # The scale of logits makes up for EPS.
    scale = 1.0 if action.kind == "discrete" else 1 / EPS
    layer = scale * np.eye(size), np.zeros(size)
    return _actor(layer, action, PASS_THROUGH_LOGIT_SCALE)


def _actor(layer: Linear, action: ActionSpec, logit_scale: float) -> Linear:
    """Return the actor's last layer for a layer that gives the policy's outputs."""
    weight, bias = layer
    if action.kind == "discrete":
        # Equal outputs stay equal at any scale, and argmax takes the first of them.
        # This is below the resolution of all logits but those of outputs that are
        # exactly zero, where it breaks the tie.
        tie_break = -200.0 * np.arange(len(bias))
        return logit_scale * weight, logit_scale * bias + tie_break
    log_stdev = np.full_like(bias, LOG_STDEV)
    return (
        np.concatenate([weight, np.zeros_like(weight)]),
        np.concatenate([bias, log_stdev]),
    )


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


@one_thread()
def prove(
    policy: SavedPolicy,
    converted_policy: posggym.agents.Policy[Any, Any],
    env: posggym.Env[Any, Any, Any],
    min_observations: int = 1000,
    seed: int = 0,
) -> Proof:
    """Compare a converted policy with the trained one on real rollouts.

    The trained policy plays every agent of the environment (those of other roles act
    at random); the converted one, run by POSGGym's own `PPOPolicy`, is asked for its
    action on each observation of the agent that it was made for.

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
    own = env.possible_agents if policy.notes.get("role") is None else (agent,)
    obs_processors = {
        i: make_processor(policy.obs_processor, env.observation_spaces[i]) for i in own
    }
    action_processors = {
        i: make_processor(policy.action_processor, env.action_spaces[i]) for i in own
    }
    for space in env.action_spaces.values():
        space.seed(seed)
    space = env.action_spaces[agent]
    scale = _action_range(space)
    count, different, ties, largest = 0, 0, 0, 0.0
    while count < min_observations:
        observations, _ = env.reset(seed=seed)
        converted_policy.reset(seed=seed)
        seed += 1
        done = False
        acts = {i: network.start() for i in own}
        while not done:
            actions = {}
            for i in env.agents:
                if i not in own:
                    actions[i] = env.action_spaces[i].sample()
                    continue
                outputs = acts[i](np.asarray(obs_processors[i](observations[i])))
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
