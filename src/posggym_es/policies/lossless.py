"""Lossless conversion of policies to POSGGym's policy format.

POSGGym knows one network: trunk -> LSTM -> actor and critic, sampled from at every
step. A deterministic feed-forward policy is exact in it:

- Hidden layers become the trunk. The action processor's scaling is folded into the last
  layer, and observation normalisation into the first one. Where that would make large
  terms that cancel, an extra trunk layer centers the observations instead.
- The last linear layer becomes the LSTM's cell candidate, scaled down by EPS, with the
  input and output gates saturated at 1 and the forget gate at 0. Then the LSTM's output
  is `tanh(tanh(EPS * z))`, whose distance from `EPS * z` is below half a unit in the
  last place of float32 while `|EPS * z| < 2e-4`; the actor multiplies by 1 / EPS, which
  is exact because EPS is a power of two.
- Box: the log standard deviations are LOG_STDEV, so sampling returns the mean. Larger
  outputs than the linear range are bent towards zero, but stay far outside the bounds
  that the action processor clips to.
- Discrete: what all outputs have in common is taken out, which changes no argmax. A
  hidden layer of the actor compares each output with each other one, and the one that
  wins all comparisons, the first of equal ones, gets all the probability.

A policy with an LSTM has POSGGym's architecture already, so its weights are copied;
only the last layer changes, for the action processor and for actions without chance.

A stochastic policy has that architecture, too, and its weights are copied. One without
an LSTM gets one that passes the trunk's output through, in the same way: scaled down by
EPS with saturated gates, and back up in the first layers of actor and critic.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from posggym.agents.torch_policy import PPOTorchModelSaveFileFormat

from pgpelib.policies.networks import LSTM, Layer, Linear, fold_normalization
from pgpelib.policies.policy import ActionSpec, SavedPolicy
from posggym_es.models.posggym_model_file import ordered
from posggym_es.models.processors import ProcessorSpec
from posggym_es.policies.convertible import ConversionError, ConvertedPolicy
from posggym_es.policies.stochastic import StochasticPolicy
from posggym_es.tasks.posggym_task import RESCALE_CONFIG

EPS = 2.0**-60
# sigmoid(100) is 1 and sigmoid(-200) is 0 in float32.
OPEN_GATE = 100.0
CLOSED_GATE = -200.0
# exp(-80) = 1.8e-35: adding noise of that size changes no float32 of ordinary size.
LOG_STDEV = -80.0
# Outputs of Discrete policies are scaled to weights around 1. Differences above
# TIE / COMPARE, which is the resolution of float64, decide a comparison.
COMPARE = 2.0**56
TIE = 20.0
# Logits of two actions differ by at least twice that.
VOTE = 64.0
# A comparison of each action with each other one makes larger files than that useful.
MAX_ACTIONS = 128
# Centering takes a layer of inputs x inputs weights: 4 MB for as many.
MAX_CENTERED_INPUTS = 1024


def convert(
    policy: SavedPolicy, action_processor: ProcessorSpec | None = None
) -> ConvertedPolicy:
    """Express a deterministic policy in POSGGym's format.

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
    processor = action_processor or default_action_processor(policy)
    layers = _normalizing_layers(policy)
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
    weights |= _lstm_weights(lstm)
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


def convert_stochastic(
    policy: StochasticPolicy,
    obs_processor: ProcessorSpec,
    action_processor: ProcessorSpec,
) -> ConvertedPolicy:
    """Express a stochastic policy in POSGGym's format; its weights are float32.

    Parameters
    ----------
    policy
        With LSTM or without.
    obs_processor, action_processor
        What it was trained with.
    """
    weights, cells, layers = dict(policy.weights), policy.lstm_size, policy.lstm_layers
    if not layers:
        cells, layers = weights["actor.0.weight"].shape[1], 1
        weights |= _lstm_weights(pass_through((np.eye(cells), np.zeros(cells))))
        for head in ("actor.0.weight", "critic.0.weight"):
            weights[head] = weights[head].astype(np.float64) / EPS
    model = PPOTorchModelSaveFileFormat(
        weights=ordered(weights),
        trunk_sizes=policy.trunk_sizes,
        lstm_size=cells,
        lstm_layers=layers,
        head_sizes=policy.head_sizes,
        activation=policy.activation,
        lstm_use_prev_action=False,
        lstm_use_prev_reward=False,
    )
    return ConvertedPolicy(model, obs_processor, action_processor)


def _normalizing_layers(policy: SavedPolicy) -> list[Layer]:
    """Return layers that take raw observations.

    `W ((x - m) / s) + b` as `(W / s) x + (b - (W / s) m)` costs no layer, but where the
    means are many standard deviations, float32 sums of terms that cancel lose digits.
    A layer that computes `x - m` loses none: it multiplies by powers of two, which is
    exact, and what float32 cannot hold of `m` goes into the next bias.
    """
    mean, stdev = policy.obs_mean, policy.obs_stdev
    if mean is None or stdev is None:
        return policy.folded_layers
    first, *others = fold_normalization(policy.layers, None, None)
    terms = np.abs(first[0])
    folded = terms @ (np.hypot(mean, stdev) / stdev)
    gain = folded.max() / max(terms.sum(axis=1).max(), np.finfo(np.float64).tiny)
    if gain < 2 or len(mean) > MAX_CENTERED_INPUTS:
        return policy.folded_layers
    power = 2.0 ** -np.round(np.log2(stdev))
    rounded = mean.astype(np.float32).astype(np.float64)
    weight, bias = np.diag(power), -power * rounded
    matrix = first[0] / (stdev * power)
    after_bias = first[-1] + (first[0] / stdev) @ (rounded - mean)
    if policy.activation == "tanh":
        center, matrix = (EPS * weight, EPS * bias), matrix / EPS
    else:
        # A number is its positive part less that of its opposite.
        center = np.concatenate([weight, -weight]), np.concatenate([bias, -bias])
        matrix = np.concatenate([matrix, -matrix], axis=1)
    after: Layer = (
        first._replace(weight_ih=matrix, bias=after_bias)
        if isinstance(first, LSTM)
        else (matrix, after_bias)
    )
    return [center, after, *others]


def _sequential(name: str, layers: list[Linear]) -> dict[str, np.ndarray]:
    """Return the weights of a Sequential whose odd places are activations."""
    weights = {}
    for number, (weight, bias) in enumerate(layers):
        weights[f"{name}.{2 * number}.weight"] = weight
        weights[f"{name}.{2 * number}.bias"] = bias
    return weights


def _lstm_weights(lstm: LSTM) -> dict[str, np.ndarray]:
    """Return the weights of a single LSTM layer by PyTorch's names."""
    return {
        "lstm.weight_ih_l0": lstm.weight_ih,
        "lstm.weight_hh_l0": lstm.weight_hh,
        "lstm.bias_ih_l0": lstm.bias,
        "lstm.bias_hh_l0": np.zeros_like(lstm.bias),
    }


def _as_recurrent(
    layers: list[Layer], action: ActionSpec
) -> tuple[list[Linear], LSTM, list[Linear]]:
    """Return trunk, LSTM and actor of POSGGym's network."""
    linear = [layer for layer in layers if not isinstance(layer, LSTM)]
    if len(linear) == len(layers):
        *trunk, last = linear
        if action.kind == "discrete":
            last = _without_common_part(last)
        size = action.output_size
        after: Linear = np.eye(size) / EPS, np.zeros(size)
        return trunk, pass_through(last), _actor(after, action)
    place = next(i for i, layer in enumerate(layers) if isinstance(layer, LSTM))
    lstm = layers[place]
    assert isinstance(lstm, LSTM)
    last = linear[-1]
    if action.kind == "discrete":
        last = _without_common_part(last)
    return linear[:place], lstm, [*linear[place:-1], *_actor(last, action)]


def _without_common_part(layer: Linear) -> Linear:
    """Return a layer of the same argmax, with weights of at most 2.

    The common part is the middle between the largest and the smallest row: unlike the
    mean it is exact for small whole numbers, whose sums are often equal.
    """
    weight, bias = (a - (a.max(axis=0) + a.min(axis=0)) / 2 for a in layer)
    largest = max(np.abs(weight).max(), np.abs(bias).max())
    scale = 2.0 ** -np.floor(np.log2(largest)) if largest else 1.0
    return scale * weight, scale * bias


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


def default_action_processor(policy: SavedPolicy) -> ProcessorSpec:
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


def _actor(layer: Linear, action: ActionSpec) -> list[Linear]:
    """Return the actor's layers that follow, and include, the last one of a policy."""
    weight, bias = layer
    if action.kind == "box":
        log_stdev = np.full_like(bias, LOG_STDEV)
        return [
            (
                np.concatenate([weight, np.zeros_like(weight)]),
                np.concatenate([bias, log_stdev]),
            )
        ]
    n = len(bias)
    if n > MAX_ACTIONS:
        raise ConversionError(f"{n} discrete actions; at most {MAX_ACTIONS} are exact")
    # Row (i, j): whether j beats i. Of equals, the first one does.
    i, j = np.divmod(np.arange(n * n), n)
    beaten = COMPARE * (weight[j] - weight[i]), COMPARE * (bias[j] - bias[i])
    votes = -VOTE * np.kron(np.eye(n), np.ones(n))
    return [(beaten[0], beaten[1] + np.where(j < i, TIE, -TIE)), (votes, np.zeros(n))]


def _tensor(name: str, array: np.ndarray) -> torch.Tensor:
    tensor = torch.tensor(array, dtype=torch.float32)
    if not torch.isfinite(tensor).all():
        raise ConversionError(f"{name} does not fit into float32")
    return tensor
