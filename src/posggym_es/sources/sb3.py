"""Checkpoints of Stable-Baselines3 and sb3-contrib: zip archives, and `VecNormalize`.

An archive has the model's parameters as JSON (`data`), in which objects are pickles in
base64, and the policy's state dict (`policy.pth`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pgpelib.foreign.safe_pickle import (
    PLAIN_NAMES,
    ForeignFileError,
    Name,
    Names,
    Record,
    read_file,
    records,
    refusing,
    safe_load,
    short,
)
from pgpelib.foreign.torch_files import load_archive, zip_entries
from pgpelib.utils.plain_data import is_integer
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.policies.foreign import (
    ARGMAX,
    CATEGORICAL,
    CLIPPED,
    GAUSSIAN,
    SQUASHED,
)
from posggym_es.policies.steps import Dense, Normalization, Step
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.building import foreign_policy, metadata_of
from posggym_es.sources.checkpoint_source import CheckpointSource, named_errors
from posggym_es.sources.modules import (
    Weights,
    is_lstm,
    linear,
    lstms,
    sequential,
    with_log_stdev,
    without_last_activation,
)
from posggym_es.sources.settings import AgentSettings, settings_for
from posggym_es.sources.torch_content import SPACE_NAMES, named_weights

_SUFFIX = ".zip"
# Of `CheckpointCallback`; the latest of each prefix is read.
_STEPS_RE = re.compile(r"(.+)_(\d+)_steps")
# Default of QR-DQN.
_QUANTILES = 200
# Parameters take a few kB, and the last observations of all environments.
_MAX_PARAMETERS = 16 * 2**20

_ON_POLICY, _DQN, _QRDQN = "on-policy", "dqn", "qrdqn"
_SAC, _TD3, _ARS = "sac", "td3", "ars"
# The algorithm of each policy class, and its default activation.
_CLASSES: dict[tuple[str, str], tuple[str, str]] = {
    ("stable_baselines3.common.policies", "ActorCriticPolicy"): (_ON_POLICY, "tanh"),
    ("sb3_contrib.common.recurrent.policies", "RecurrentActorCriticPolicy"): (
        _ON_POLICY,
        "tanh",
    ),
    ("sb3_contrib.common.maskable.policies", "MaskableActorCriticPolicy"): (
        _ON_POLICY,
        "tanh",
    ),
    ("stable_baselines3.dqn.policies", "DQNPolicy"): (_DQN, "relu"),
    ("sb3_contrib.qrdqn.policies", "QRDQNPolicy"): (_QRDQN, "relu"),
    ("stable_baselines3.sac.policies", "SACPolicy"): (_SAC, "relu"),
    ("sb3_contrib.tqc.policies", "TQCPolicy"): (_SAC, "relu"),
    ("stable_baselines3.td3.policies", "TD3Policy"): (_TD3, "relu"),
    ("sb3_contrib.ars.policies", "ARSPolicy"): (_ARS, "relu"),
    ("sb3_contrib.ars.policies", "ARSLinearPolicy"): (_ARS, "relu"),
}
_CLASS_NAMES: Names = {**PLAIN_NAMES, **dict.fromkeys(_CLASSES)}
_SPACE_NAMES: Names = {**PLAIN_NAMES, **SPACE_NAMES}
_STATISTICS_NAMES: Names = {
    **_SPACE_NAMES,
    **records(
        "stable_baselines3.common.vec_env.vec_normalize.VecNormalize",
        "stable_baselines3.common.running_mean_std.RunningMeanStd",
    ),
}


class SB3Models(CheckpointSource):
    """Models saved by Stable-Baselines3's `save`, and folders of them."""

    name = "sb3"
    patterns = (f"*{_SUFFIX}",)

    def recognises_file(self, path: Path) -> bool:
        """Return whether a file has the name of a model."""
        return path.suffix == _SUFFIX

    def policies(self, path: Path) -> dict[str, Path]:
        """Return the latest model of each name; see `PolicySource`."""
        latest: dict[str, tuple[int, Path]] = {}
        for stem, file in super().policies(path).items():
            match = _STEPS_RE.fullmatch(stem)
            name, steps = (match[1], int(match[2])) if match else (stem, -1)
            latest[name] = max(latest.get(name, (-2, file)), (steps, file))
        return {name: file for name, (_, file) in latest.items()}

    def beside(self, path: Path, settings: AgentSettings) -> list[Path]:
        """Return the files with settings and statistics; see `PolicySource`."""
        statistics = _statistics_of(path, settings_for(path, settings))
        others = [] if statistics is None else [statistics]
        return [*super().beside(path, settings), *others]

    def read(self, path: Path, settings: AgentSettings) -> ConvertiblePolicy:
        """Read a model; see `CheckpointSource`."""
        settings = settings_for(path, settings)
        with named_errors(path, "a model of Stable-Baselines3"):
            saved = _read(path)
            steps, outputs_are = _network(saved, settings)
            metadata = metadata_of(
                saved.algorithm,
                path,
                timesteps=saved.parameters.get("num_timesteps"),
            )
        return foreign_policy(
            path,
            steps,
            outputs_are,
            settings,
            metadata,
            _normalization(path, settings),
            saved.bounds,
        )


class _Saved(NamedTuple):
    """What a file has."""

    parameters: Mapping[str, Any]
    weights: Weights
    policy_class: tuple[str, str]

    @property
    def kind(self) -> str:
        """Kind of the policy's architecture."""
        return _CLASSES[self.policy_class][0]

    @property
    def algorithm(self) -> str:
        """Name of the algorithm."""
        known = self.parameters
        if self.kind == _ON_POLICY:
            if "clip_range" in known:
                return f"{self.policy_class[1].split('ActorCritic')[0]}PPO"
            return "TRPO" if "cg_max_steps" in known else "A2C"
        if self.kind == _TD3:
            return "DDPG" if known.get("policy_delay") == 1 else "TD3"
        return self.policy_class[1].split("Policy")[0].removesuffix("Linear")

    @property
    def architecture(self) -> Mapping[str, Any]:
        """The arguments of the policy's class."""
        found = self.parameters.get("policy_kwargs")
        return found if isinstance(found, dict) else {}

    @property
    def is_discrete(self) -> bool:
        """Whether actions are discrete."""
        return _kind_of(self.parameters.get("action_space")) == "Discrete"

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Bounds of a one-dimensional Box of actions; None if they are not known."""
        try:
            space = _unpickled(self.parameters.get("action_space"), _SPACE_NAMES)
        except ForeignFileError:
            # Of another version of Gymnasium; the environment has bounds as well.
            return None
        if not isinstance(space, Record):
            return None
        low, high = space.fields.get("low"), space.fields.get("high")
        if not isinstance(low, np.ndarray) or not isinstance(high, np.ndarray):
            return None
        return low.astype(np.float64), high.astype(np.float64)


def _read(path: Path) -> _Saved:
    data = read_file(path)
    if not data.startswith(b"PK"):
        raise ForeignFileError("it is not a zip archive")
    entries = zip_entries(data)
    for name in ("data", "policy.pth"):
        if name not in entries:
            raise ForeignFileError(f"its archive has no {name}")
    if len(entries["data"]) > _MAX_PARAMETERS:
        raise ForeignFileError("its parameters are too large")
    with refusing():
        parameters = json.loads(bytes(entries["data"]).decode("utf-8"))
    if not isinstance(parameters, dict):
        raise ForeignFileError("its parameters are not a mapping")
    try:
        weights = named_weights(load_archive(bytes(entries["policy.pth"]), {}))
    except ForeignFileError as error:
        raise ForeignFileError(f"policy.pth: {error}") from error
    except ValueError as error:
        raise ForeignFileError(str(error)) from error
    try:
        found = _unpickled(parameters.get("policy_class"), _CLASS_NAMES)
    except ForeignFileError as error:
        raise ForeignFileError(f"its policy_class: {error}") from error
    if not isinstance(found, Name):
        raise ForeignFileError("its policy_class is not a class")
    module, _, kind = found.name.rpartition(".")
    return _Saved(parameters, weights, (module, kind))


def _unpickled(item: Any, names: Names) -> Any:
    """Return an object of the parameters."""
    if not isinstance(item, dict) or not isinstance(item.get(":serialized:"), str):
        raise ForeignFileError("it has no pickle")
    try:
        data = base64.b64decode(item[":serialized:"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ForeignFileError("a pickle is not in base64") from error
    return safe_load(data, names)


def _kind_of(item: Any) -> str:
    """Return the name of an object's class, as the parameters have it as text."""
    text = item.get(":type:") if isinstance(item, dict) else None
    return str(text).removesuffix("'>").rpartition(".")[2]


def _network(saved: _Saved, settings: AgentSettings) -> tuple[list[Step], str]:
    """Return the layers of the policy's network, and what its outputs are."""
    _check_spaces(saved)
    weights, activation = saved.weights, _activation(saved, settings)
    if saved.kind == _DQN:
        return _output_net(weights, "q_net.q_net", activation), ARGMAX
    if saved.kind == _QRDQN:
        quantiles = _output_net(weights, "quantile_net.quantile_net", activation)
        return _means_of_quantiles(quantiles, saved), ARGMAX
    if saved.kind == _SAC:
        hidden = sequential(weights, "actor.latent_pi", activation)
        return [*hidden, linear(weights, "actor.mu")], SQUASHED
    if saved.kind == _TD3:
        return _output_net(weights, "actor.mu", activation), SQUASHED
    if saved.kind == _ARS:
        net = _output_net(weights, "action_net", activation)
        if saved.is_discrete:
            return net, ARGMAX
        by_default = saved.policy_class[1] == "ARSPolicy"
        squashed = saved.architecture.get("squash_output", by_default)
        return net, SQUASHED if squashed else CLIPPED
    return _actor(saved, settings, activation)


def _actor(
    saved: _Saved, settings: AgentSettings, activation: str
) -> tuple[list[Step], str]:
    weights = saved.weights
    steps: list[Step] = []
    if is_lstm(weights, "lstm_actor"):
        steps += lstms(weights, "lstm_actor")
    # Older versions had layers that actor and critic share.
    for name in ("shared_net", "policy_net"):
        steps += sequential(weights, f"mlp_extractor.{name}", activation)
    steps.append(linear(weights, "action_net"))
    if saved.is_discrete:
        return steps, CATEGORICAL
    if saved.architecture.get("squash_output"):
        return steps, SQUASHED
    if settings.deterministic:
        return steps, CLIPPED
    if saved.parameters.get("use_sde"):
        raise ValueError(
            "its standard deviations depend on the state (use_sde), which cannot be "
            "expressed; set deterministic: true"
        )
    if "log_std" not in weights:
        raise ValueError("the weights have no log_std")
    return with_log_stdev(steps, weights["log_std"]), GAUSSIAN


def _output_net(weights: Weights, name: str, activation: str) -> list[Step]:
    return without_last_activation(sequential(weights, name, activation))


def _means_of_quantiles(steps: list[Step], saved: _Saved) -> list[Step]:
    """Return layers that give the mean of each action's quantiles, its value."""
    *hidden, last = steps
    assert isinstance(last, Dense)
    count = saved.architecture.get("n_quantiles", _QUANTILES)
    if not is_integer(count) or count < 1 or len(last.bias) % count:
        raise ValueError(
            f"{len(last.bias)} outputs are not {short(count)} quantiles of each action"
        )
    # Quantiles of all actions follow each other.
    weight, bias = (
        array.astype(np.float64).reshape(count, -1, *array.shape[1:]).mean(axis=0)
        for array in (last.weight, last.bias)
    )
    return [*hidden, Dense(weight, bias)]


def _check_spaces(saved: _Saved) -> None:
    action = _kind_of(saved.parameters.get("action_space"))
    if action not in ("Box", "Discrete"):
        raise ValueError(
            f"its actions are {short(action or 'unknown')}; only Box and Discrete can "
            "be expressed"
        )
    if _kind_of(saved.parameters.get("observation_space")) == "Dict":
        raise ValueError("it takes observations of a Dict, which cannot be expressed")
    for name in saved.weights:
        if "features_extractor." in name:
            raise ValueError(
                f"its features extractor has weights ({name}); only flat observations "
                "can be expressed"
            )


def _activation(saved: _Saved, settings: AgentSettings) -> str:
    """Return the activation of hidden layers."""
    text = saved.architecture.get("activation_fn")
    if text is None:
        return settings.activation or _CLASSES[saved.policy_class][1]
    name = str(text).removesuffix("'>").rpartition(".")[2].lower()
    if name not in ("tanh", "relu"):
        raise ValueError(
            f"its activation is {short(text)}; only tanh and relu can be expressed"
        )
    return name


def _normalization(path: Path, settings: AgentSettings) -> Normalization | None:
    """Return what the statistics beside a model say, if there are any."""
    file = _statistics_of(path, settings)
    return None if file is None else load_vec_normalize(file)


def _statistics_of(path: Path, settings: AgentSettings) -> Path | None:
    """Return the file of `VecNormalize` that belongs to a model."""
    if settings.vec_normalize is not None:
        return path.parent / settings.vec_normalize
    names = [f"{path.stem}_vecnormalize.pkl", "vecnormalize.pkl"]
    match = _STEPS_RE.fullmatch(path.stem)
    if match is not None:
        names.insert(0, f"{match[1]}_vecnormalize_{match[2]}_steps.pkl")
    files = [path.parent / name for name in names]
    return next((file for file in files if file.is_file()), None)


def load_vec_normalize(path: Path) -> Normalization | None:
    """Read what `VecNormalize.save` wrote, executing nothing.

    Returns
    -------
    Normalization or None
        None if it does not normalise observations.

    Raises
    ------
    ExtractionError
        If it is not such a file; the message names it.
    """
    try:
        found = safe_load(read_file(path), _STATISTICS_NAMES)
        if not isinstance(found, Record) or not found.name.endswith(".VecNormalize"):
            raise ForeignFileError("it holds something else")
        fields = found.fields
        if fields.get("norm_obs") is False:
            return None
        statistics = fields.get("obs_rms")
        if not isinstance(statistics, Record):
            raise ForeignFileError("its statistics are not those of one array")
        mean = _array(statistics.fields.get("mean"))
        variance = _array(statistics.fields.get("var"))
        epsilon, clip = (_number(fields.get(key)) for key in ("epsilon", "clip_obs"))
    except ForeignFileError as error:
        raise ExtractionError(f"{path}: not a VecNormalize: {error}") from error
    # What is not a number is refused with the policy.
    with np.errstate(invalid="ignore"):
        stdev = np.sqrt(variance + epsilon)
    return Normalization(mean, stdev, clip)


def _array(value: Any) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        raise ForeignFileError("its statistics are not arrays of numbers")
    return value.astype(np.float64).ravel()


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ForeignFileError("its clip_obs or epsilon is not a number")
    return float(value)
