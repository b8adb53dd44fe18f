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

A policy of another library may have more: different activations, outputs that go
through tanh, and normalised observations that are clipped.

- Layers with POSGGym's activation become the trunk and the actor. Layers of tanh
  between layers of relu become layers of the LSTM, whose cell candidate is a tanh: an
  input gate of SMALL, with the forget gate closed, makes the cell `SMALL * tanh(z)`,
  which the output's tanh does not change in float32, and the next layer divides by
  SMALL.
- Clipping is exact with relu: `clip(z)` is `relu(z) - relu(-z) - relu(z - c) +
  relu(-z - c)`, where the last two are 0 unless something is clipped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from posggym.agents.torch_policy import PPOTorchModelSaveFileFormat

from pgpelib.policies.networks import LSTM, Layer, Linear, Vector, fold_normalization
from pgpelib.policies.policy import ActionSpec, SavedPolicy
from posggym_es.models.posggym_model_file import ordered
from posggym_es.models.processors import RESCALE_CONFIG, ProcessorSpec
from posggym_es.policies.convertible import ConversionError, ConvertedPolicy
from posggym_es.policies.foreign import GAUSSIAN, SQUASHED, ForeignPolicy
from posggym_es.policies.steps import (
    NO_ACTIVATION,
    Dense,
    Normalization,
    Step,
    merged,
    outputs_of,
)
from posggym_es.policies.stochastic import StochasticPolicy

EPS = 2.0**-60
# sigmoid(100) is 1 and sigmoid(-200) is 0 in float32.
OPEN_GATE = 100.0
CLOSED_GATE = -200.0
# Both `tanh(SMALL) - SMALL` and the error of the sigmoid in float64 are below 1e-10 of
# SMALL, and float32 has SMALL_GATE exactly.
SMALL_GATE = -11.5
SMALL = 1 / (1 + np.exp(-SMALL_GATE))
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
    first, *others = fold_normalization(policy.layers, None, None)
    layers = [
        *_normalizing_layers(
            first, policy.obs_mean, policy.obs_stdev, policy.activation
        ),
        *others,
    ]
    if policy.action.kind == "box":
        last = layers[-1]
        assert not isinstance(last, LSTM)
        trained_with = ProcessorSpec(*policy.action_processor)
        layers[-1] = to_processed_units(last, policy.action, trained_with, processor)
    else:
        _check_discrete(processor)
    unit = _input_unit(policy.layers, layers, policy.activation)
    trunk, lstm, head = _as_recurrent(layers, policy.action, unit)
    return ConvertedPolicy(
        _model(trunk, [lstm], head, policy.activation),
        ProcessorSpec(*policy.obs_processor),
        processor,
    )


def _input_unit(
    layers: Sequence[Layer | Step], normalizing: Sequence[Layer | Step], activation: str
) -> float:
    """Return the size of the last layer's inputs, with layers that normalise added.

    What computes x - m in front of a linear policy gives EPS times that with tanh.
    """
    added = len(normalizing) == 2 > len(layers)
    return EPS if added and activation == "tanh" else 1.0


def _check_discrete(processor: ProcessorSpec) -> None:
    if processor.name != "IdentityProcessor":
        raise ConversionError(
            f"discrete actions cannot go through a {processor.name}; "
            "leave the action processor out"
        )


def _model(
    trunk: list[Linear], lstm: list[LSTM], actor: list[Linear], activation: str
) -> PPOTorchModelSaveFileFormat:
    weights: OrderedDict[str, np.ndarray] = OrderedDict()
    weights |= _sequential("trunk", trunk)
    for number, layer in enumerate(lstm):
        weights |= _lstm_weights(layer, number)
    weights |= _sequential("actor", actor)
    # Nothing asks for values, but the format has a critic like the actor.
    critic = [(np.zeros_like(weight), np.zeros_like(bias)) for weight, bias in actor]
    critic[-1] = critic[-1][0][:1], critic[-1][1][:1]
    weights |= _sequential("critic", critic)
    return PPOTorchModelSaveFileFormat(
        weights=OrderedDict((k, _tensor(k, v)) for k, v in weights.items()),
        trunk_sizes=[len(bias) for _, bias in trunk],
        lstm_size=int(lstm[0].weight_hh.shape[1]),
        lstm_layers=len(lstm),
        head_sizes=[len(bias) for _, bias in actor[:-1]],
        activation=activation,
        lstm_use_prev_action=False,
        lstm_use_prev_reward=False,
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


def convert_foreign(
    policy: ForeignPolicy,
    action: ActionSpec,
    obs_processor: ProcessorSpec,
    action_processor: ProcessorSpec,
) -> ConvertedPolicy:
    """Express a policy of another library in POSGGym's format.

    Parameters
    ----------
    policy
        The policy.
    action
        The actions that it gave in training.
    obs_processor, action_processor
        Processors to register with.

    Returns
    -------
    ConvertedPolicy
        Weights are float32.

    Raises
    ------
    ConversionError
        If the policy cannot be expressed.
    """
    steps = merged(policy.steps)
    if action.kind == "discrete":
        _check_discrete(action_processor)
    else:
        if policy.outputs_are == SQUASHED:
            steps = _squashed(steps, action)
        steps[-1] = _with_processed_actions(steps[-1], policy, action, action_processor)
    for activation in ("tanh", "relu"):
        normalizing = _normalizing_steps(policy.normalization, steps, activation)
        parts = _divided(normalizing, activation)
        if parts is not None:
            break
    else:
        raise ConversionError(
            "the network mixes tanh and relu in an order that POSGGym's trunk, LSTM "
            "and actor cannot express: between layers of relu there may be layers of "
            "tanh and LSTMs, but not the reverse"
        )
    trunk, middle, head = parts
    *hidden, last = head
    if policy.deterministic and action.kind == "discrete":
        last = _without_common_part(last, _input_unit(steps, normalizing, activation))
    lstm, after = _as_lstms(middle, [*hidden, last])
    if policy.deterministic:
        after = [*after[:-1], *_actor(after[-1], action)]
    return ConvertedPolicy(
        _model(trunk, lstm, after, activation), obs_processor, action_processor
    )


def _squashed(steps: list[Step], action: ActionSpec) -> list[Step]:
    """Return layers whose last two squash the outputs, and scale them to bounds."""
    assert action.low is not None
    assert action.high is not None
    if not np.isfinite(action.high - action.low).all():
        raise ConversionError("squashed actions need finite bounds")
    *hidden, last = steps
    assert isinstance(last, Dense)
    scale = Dense(
        np.diag((action.high - action.low) / 2), (action.high + action.low) / 2
    )
    return [*hidden, last._replace(activation="tanh"), scale]


def _with_processed_actions(
    last: Step, policy: ForeignPolicy, action: ActionSpec, processor: ProcessorSpec
) -> Dense:
    """Return the last layer of a Box policy such that `processor` undoes the change."""
    trained_with = policy.trained_action_processor
    size = action.output_size
    mean = last[0][:size], last[1][:size]
    weight, bias = to_processed_units(mean, action, trained_with, processor)
    if policy.outputs_are != GAUSSIAN:
        return Dense(weight, bias)
    scale, _ = unit_change(action, trained_with, processor)
    log_stdev = last[0][size:], last[1][size:] + np.log(scale)
    return Dense(
        np.concatenate([weight, log_stdev[0]]), np.concatenate([bias, log_stdev[1]])
    )


def _divided(
    steps: list[Step], activation: str
) -> tuple[list[Linear], list[Step], list[Linear]] | None:
    """Divide layers into trunk, what the LSTM computes, and actor.

    Returns
    -------
    tuple or None
        None if trunk and actor would need other activations than the given one. The
        actor's last layer has none.
    """

    def usual(step: Step) -> bool:
        return isinstance(step, Dense) and step.activation == activation

    *hidden, last = steps
    start, stop = 0, len(hidden)
    while start < stop and usual(hidden[start]):
        start += 1
    while start < stop and usual(hidden[stop - 1]):
        stop -= 1
    middle = hidden[start:stop]
    if any(isinstance(step, Dense) and step.activation != "tanh" for step in middle):
        return None
    return (
        [(step[0], step[1]) for step in hidden[:start]],
        middle,
        [(step[0], step[1]) for step in [*hidden[stop:], last]],
    )


def _as_lstms(
    middle: Sequence[Step], after: list[Linear]
) -> tuple[list[LSTM], list[Linear]]:
    """Return LSTMs of one size that compute the given layers, and what follows them.

    Parameters
    ----------
    middle
        LSTMs and layers of tanh. If there are none, the LSTM passes the first of the
        layers that follow through.
    after
        The layers that follow.
    """
    if not middle:
        (last,) = after
        size = len(last[1])
        return [pass_through(last)], [(np.eye(size) / EPS, np.zeros(size))]
    size = max(outputs_of(step) for step in middle)
    lstms, scale = [], 1.0
    for number, step in enumerate(middle):
        gates = step if isinstance(step, LSTM) else _tanh_gates(step)
        lstms.append(_padded(gates, scale, size, bool(number)))
        scale = 1.0 if isinstance(step, LSTM) else 1 / SMALL
    (weight, bias), *others = after
    return lstms, [(_wider(scale * weight, size), bias), *others]


def _tanh_gates(layer: Dense) -> LSTM:
    """Return an LSTM whose output is SMALL times that of a layer of tanh."""
    return _without_memory(layer.weight, layer.bias, SMALL_GATE)


def _padded(lstm: LSTM, scale: float, size: int, follows: bool) -> LSTM:
    """Return an LSTM of more cells, whose outputs are 0, with scaled inputs.

    Its input has that size, too, if it follows another LSTM.
    """
    cells = lstm.weight_hh.shape[1]

    def rows(array: np.ndarray) -> np.ndarray:
        wider = np.zeros((4, size, *array.shape[1:]))
        wider[:, :cells] = array.reshape(4, cells, *array.shape[1:])
        return wider.reshape(4 * size, *array.shape[1:])

    inputs = rows(scale * lstm.weight_ih)
    return LSTM(
        _wider(inputs, size) if follows else inputs,
        _wider(rows(lstm.weight_hh), size),
        rows(lstm.bias),
    )


def _wider(weight: np.ndarray, inputs: int) -> np.ndarray:
    """Return a weight with columns of zeros added."""
    return np.pad(weight, ((0, 0), (0, inputs - weight.shape[1])))


def _normalizing_steps(
    normalization: Normalization | None, steps: list[Step], activation: str
) -> list[Step]:
    """Return layers that take raw observations, see `_normalizing_layers`."""
    if normalization is None:
        return steps
    first, *others = steps
    if normalization.clip is not None:
        return [*_clipping_steps(normalization, first), *others]
    mean, stdev = normalization.mean, normalization.stdev
    if isinstance(first, LSTM):
        layer: Layer = first
        own = NO_ACTIVATION
    else:
        layer, own = (first.weight, first.bias), first.activation
    layers = _normalizing_layers(layer, mean, stdev, activation)
    activations = [activation] * (len(layers) - 1) + [own]
    changed: list[Step] = [
        each if isinstance(each, LSTM) else Dense(*each, activation=name)
        for each, name in zip(layers, activations, strict=True)
    ]
    return [*changed, *others]


def _clipping_steps(normalization: Normalization, first: Step) -> tuple[Step, Step]:
    """Return a layer of relu, and the first layer, which adds up clipped numbers."""
    mean, stdev, clip = normalization
    assert clip is not None
    power, rounded, (weight, bias) = _centering(mean, stdev)
    rest = (rounded - mean) / stdev
    high, low = (power * stdev * (bound - rest) for bound in (clip, -clip))
    signs = (1, -1, 1, -1)
    clipped = Dense(
        np.concatenate([sign * weight for sign in signs]),
        np.concatenate([bias, -bias, bias - high, low - bias]),
        "relu",
    )
    matrix = first[0] / (stdev * power)
    added = np.concatenate([matrix, -matrix, -matrix, matrix], axis=1)
    return clipped, _with_input(first, added, first[0] @ rest)


def _with_input(first: Step, weight: np.ndarray, shift: np.ndarray) -> Step:
    """Return a layer with another input weight, and something added to its bias."""
    if isinstance(first, LSTM):
        return first._replace(weight_ih=weight, bias=first.bias + shift)
    return first._replace(weight=weight, bias=first.bias + shift)


def _centering(mean: Vector, stdev: Vector) -> tuple[Vector, Vector, Linear]:
    """Return a layer that computes `p (x - m)` in float32 without losing digits.

    It multiplies by powers of two, which is exact. What float32 cannot hold of the mean
    is for the bias of the next layer.

    Returns
    -------
    p, m
        Shape (n,): the powers, which are close to 1 / stdev, and the rounded mean.
    layer
        The layer.
    """
    power = 2.0 ** -np.round(np.log2(stdev))
    rounded = mean.astype(np.float32).astype(np.float64)
    return power, rounded, (np.diag(power), -power * rounded)


def _normalizing_layers(
    first: Layer, mean: Vector | None, stdev: Vector | None, activation: str
) -> list[Layer]:
    """Return layers that take raw observations instead of normalised ones.

    `W ((x - m) / s) + b` as `(W / s) x + (b - (W / s) m)` costs no layer, but where the
    means are many standard deviations, float32 sums of terms that cancel lose digits.
    There, a layer computes `x - m` first, see `_centering`.
    """
    folded_first = fold_normalization([first], mean, stdev)
    if mean is None or stdev is None:
        return folded_first
    (first,) = fold_normalization([first], None, None)
    terms = np.abs(first[0])
    folded = terms @ (np.hypot(mean, stdev) / stdev)
    gain = folded.max() / max(terms.sum(axis=1).max(), np.finfo(np.float64).tiny)
    if gain < 2 or len(mean) > MAX_CENTERED_INPUTS:
        return folded_first
    power, rounded, (weight, bias) = _centering(mean, stdev)
    matrix = first[0] / (stdev * power)
    after_bias = first[-1] + (first[0] / stdev) @ (rounded - mean)
    if activation == "tanh":
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
    return [center, after]


def _sequential(name: str, layers: list[Linear]) -> dict[str, np.ndarray]:
    """Return the weights of a Sequential whose odd places are activations."""
    weights = {}
    for number, (weight, bias) in enumerate(layers):
        weights[f"{name}.{2 * number}.weight"] = weight
        weights[f"{name}.{2 * number}.bias"] = bias
    return weights


def _lstm_weights(lstm: LSTM, number: int = 0) -> dict[str, np.ndarray]:
    """Return the weights of an LSTM layer by PyTorch's names."""
    return {
        f"lstm.weight_ih_l{number}": lstm.weight_ih,
        f"lstm.weight_hh_l{number}": lstm.weight_hh,
        f"lstm.bias_ih_l{number}": lstm.bias,
        f"lstm.bias_hh_l{number}": np.zeros_like(lstm.bias),
    }


def _as_recurrent(
    layers: list[Layer], action: ActionSpec, unit: float
) -> tuple[list[Linear], LSTM, list[Linear]]:
    """Return trunk, LSTM and actor of POSGGym's network.

    `unit` is the size of the last layer's inputs.
    """
    linear = [layer for layer in layers if not isinstance(layer, LSTM)]
    if len(linear) == len(layers):
        *trunk, last = linear
        if action.kind == "discrete":
            last = _without_common_part(last, unit)
        size = action.output_size
        after: Linear = np.eye(size) / EPS, np.zeros(size)
        return trunk, pass_through(last), _actor(after, action)
    place = next(i for i, layer in enumerate(layers) if isinstance(layer, LSTM))
    lstm = layers[place]
    assert isinstance(lstm, LSTM)
    last = linear[-1]
    if action.kind == "discrete":
        last = _without_common_part(last, unit)
    return linear[:place], lstm, [*linear[place:-1], *_actor(last, action)]


def _without_common_part(layer: Linear, unit: float = 1.0) -> Linear:
    """Return a layer of the same argmax, with weights of at most 2 / unit.

    The common part is the middle between the largest and the smallest row: unlike the
    mean it is exact for small whole numbers, whose sums are often equal.
    """
    weight, bias = (a - (a.max(axis=0) + a.min(axis=0)) / 2 for a in layer)
    largest = max(unit * np.abs(weight).max(), np.abs(bias).max())
    scale = 2.0 ** -np.floor(np.log2(largest)) if largest else 1.0
    return scale * weight, scale * bias


def pass_through(layer: Linear) -> LSTM:
    """Return an LSTM whose output is EPS times that of a linear layer."""
    weight, bias = layer
    return _without_memory(EPS * weight, EPS * bias, OPEN_GATE)


def _without_memory(weight: Vector, bias: Vector, input_gate: float) -> LSTM:
    """Return an LSTM with constant gates, whose cell candidate is a linear layer."""
    # PyTorch's order of the gates: input, forget, cell candidate, output.
    zeros, ones = np.zeros_like(weight), np.ones(len(bias))
    return LSTM(
        np.concatenate([zeros, zeros, weight, zeros]),
        np.zeros((4 * len(bias), len(bias))),
        np.concatenate([input_gate * ones, CLOSED_GATE * ones, bias, OPEN_GATE * ones]),
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


def unit_change(
    action: ActionSpec, trained_with: ProcessorSpec, processor: ProcessorSpec
) -> Linear:
    """Return factors (n,) and offsets (n,) from trained to processed actions."""
    size = action.output_size
    unchanged = np.eye(size), np.zeros(size)
    factors, offsets = to_processed_units(unchanged, action, trained_with, processor)
    return np.diag(factors), offsets


def to_processed_units(
    layer: Linear,
    action: ActionSpec,
    trained_with: ProcessorSpec,
    processor: ProcessorSpec,
) -> Linear:
    """Return the last layer such that `processor.unprocess` undoes the change.

    Parameters
    ----------
    layer
        A layer that gives actions.
    action
        The actions.
    trained_with, processor
        What they went through in training, and what they shall go through.

    Raises
    ------
    ConversionError
        If they would become other actions.
    """
    if processor == trained_with:
        if processor.name == "IdentityProcessor" and _is_bounded(action):
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
    if not processor.config.get("clip", True) and _is_bounded(action):
        raise ConversionError(
            "the policy clips its actions; its RescaleProcessor needs clip: true"
        )
    low, high = action.low, action.high
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
