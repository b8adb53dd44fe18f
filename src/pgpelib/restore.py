"""Safe reading of policies saved by this project and by the original trainer.

The original trainer pickled whole objects (its own policy classes, gym spaces, torch
modules). The reader in this module executes nothing: it accepts only the classes that
such files contain, reads their objects as plain records, and rejects all other names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgpelib.foreign.safe_pickle import (
    Names,
    Record,
    read_file,
    records,
    safe_load,
    short,
)
from pgpelib.foreign.torch_files import PICKLED_TENSOR_NAMES
from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.networks import LSTM, Linear
from pgpelib.policies.policy import ActionSpec, SavedPolicy
from pgpelib.policies.running_statistics import VARIANCE_FLOOR
from pgpelib.policies.saving import FORMAT, checked, from_plain
from pgpelib.utils.plain_data import is_number


class PolicyFileError(ValueError):
    """A file is not a valid policy; the message names the file and the reason."""


_MLP_POLICIES = ("pgpelib.policies.MLPPolicy", "pgpelib.policies.LinearPolicy")
_RUNNING_STAT = "pgpelib.runningstat.RunningStat"
_BOX, _DISCRETE = "gym.spaces.box.Box", "gym.spaces.discrete.Discrete"
_LINEAR = "torch.nn.modules.linear.Linear"
_SEQUENTIAL = "torch.nn.modules.container.Sequential"
_ACTIVATIONS = {
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.activation.ReLU": "relu",
}

# All names that a policy file may contain.
_NAMES: Names = {
    **PICKLED_TENSOR_NAMES,
    **records(
        *_MLP_POLICIES,
        *(_RUNNING_STAT, _BOX, _DISCRETE, _LINEAR, _SEQUENTIAL, *_ACTIVATIONS),
        "numpy.random._pickle.__randomstate_ctor",
    ),
}


def load_policy(path: str | Path) -> SavedPolicy:
    """Read a policy saved by this trainer or by the original one.

    Parameters
    ----------
    path
        A `.pickle` file.

    Returns
    -------
    SavedPolicy
        The policy, with float32 or float64 weights and float64 observation statistics.
        Its metadata name saved partners by their paths.

    Raises
    ------
    PolicyFileError
        If the file is not a valid policy: it is unreadable or truncated, contains names
        outside the allow-list, or has weights of wrong shapes or non-finite values.
    """
    path = Path(path)
    try:
        return _policy(safe_load(read_file(path), _NAMES)).located(path.parent)
    except ValueError as error:
        raise PolicyFileError(f"{path}: not a policy file: {error}") from error


def _policy(data: Any) -> SavedPolicy:
    if isinstance(data, dict) and data.get("format") == FORMAT:
        return from_plain(data)
    if isinstance(data, Record) and data.name in _MLP_POLICIES:
        return _from_original(data)
    raise ValueError("it is a pickle, but not of a policy")


def _from_original(data: Record) -> SavedPolicy:
    mean, stdev = _original_normalization(data.fields.get("_main_obs_stats"))
    layers, activation = _network(data.fields.get("_policy"))
    env_config = data.fields.get("_env_config")
    notes = data.fields.get("notes")
    return checked(
        SavedPolicy(
            layers=layers,
            activation=activation,
            obs_mean=mean,
            obs_stdev=stdev,
            action=_original_action(data.fields.get("_action_space")),
            env_name=data.fields.get("_env_name", ""),
            env_config={} if env_config is None else env_config,
            metadata=PolicyMetadata.from_notes(
                {} if notes is None else {"notes": notes}
            ),
        )
    )


def _original_normalization(stats: Any) -> tuple[Any, Any]:
    if stats is None:
        return None, None
    if not isinstance(stats, Record) or stats.name != _RUNNING_STAT:
        raise ValueError("the observation statistics are not a RunningStat")
    count = stats.fields.get("_count")
    if not is_number(count) or count < 0:
        raise ValueError(f"the observation statistics count {short(count)}")
    if count == 0:
        return None, None
    total, squares = (_floats(stats, name) for name in ("_sum", "_sumsq"))
    mean = total / count
    # The sums may be anything; `SavedPolicy` rejects results that are not finite.
    with np.errstate(all="ignore"):
        variance = np.maximum(squares / count - np.square(mean), VARIANCE_FLOOR)
    return mean, np.sqrt(variance)


def _floats(record: Record, name: str) -> np.ndarray:
    """Return a field of a record, which must be a one-dimensional array, as float64."""
    array = record.fields.get(name)
    if not isinstance(array, np.ndarray) or array.ndim != 1:
        raise ValueError(f"{name} of {record.name} is not a one-dimensional array")
    return array.astype(np.float64)


def _original_action(space: Any) -> ActionSpec:
    name = space.name if isinstance(space, Record) else None
    if name == _DISCRETE:
        return ActionSpec("discrete", n=space.fields.get("n"))
    if name == _BOX:
        return ActionSpec("box", _floats(space, "low"), _floats(space, "high"))
    raise ValueError("the action space is neither Box nor Discrete")


def _network(module: Any) -> tuple[list[Linear], str]:
    """Return the linear layers and the activation of a module tree."""
    parts = list(_parts(module))
    layers = [_linear(part) for part in parts if part.name == _LINEAR]
    names = [_ACTIVATIONS[part.name] for part in parts if part.name in _ACTIVATIONS]
    if len(names) != len(layers) - 1 or len(set(names)) > 1:
        raise ValueError(
            "the network does not consist of linear layers with one kind of "
            "activation in between"
        )
    return layers, names[0] if names else "tanh"


def _parts(module: Any) -> Iterator[Record]:
    """Yield the linear layers and activations of a module tree, in order."""
    if not isinstance(module, Record):
        raise ValueError(f"a part of the network is {short(module)}")
    if module.name == _SEQUENTIAL:
        children = module.fields.get("_modules")
        if not isinstance(children, dict):
            raise ValueError("a Sequential of the network has no modules")
        for child in children.values():
            yield from _parts(child)
    elif module.name == _LINEAR or module.name in _ACTIVATIONS:
        yield module
    else:
        raise ValueError(f"a part of the network is {short(module)}")


def _linear(module: Record) -> Linear:
    parameters = module.fields.get("_parameters")
    weight = parameters.get("weight") if isinstance(parameters, dict) else None
    if not isinstance(weight, np.ndarray):
        raise ValueError("a linear layer has no weight")
    bias = parameters.get("bias") if isinstance(parameters, dict) else None
    if bias is None:
        bias = np.zeros(len(weight) if weight.ndim else 0, weight.dtype)
    return weight, bias


class ObservationNormalization(torch.nn.Module):
    """`(x - mean) / stdev` for observations of shape (..., d)."""

    mean: torch.Tensor
    stdev: torch.Tensor

    def __init__(self, mean: np.ndarray, stdev: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("stdev", torch.tensor(stdev, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return normalised observations of the same shape."""
        return (x - self.mean) / self.stdev


class ActionClipping(torch.nn.Module):
    """Clip outputs of shape (..., actions) to the bounds of the action space."""

    low: torch.Tensor
    high: torch.Tensor

    def __init__(self, low: np.ndarray, high: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(low, dtype=torch.float32))
        self.register_buffer("high", torch.tensor(high, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return clipped outputs of the same shape."""
        return torch.clamp(x, self.low, self.high)


class EpisodeLSTM(torch.nn.Module):
    """An LSTM over the observations of an episode, (steps, d) or (steps, batch, d)."""

    def __init__(self, layer: LSTM) -> None:
        super().__init__()
        rows, inputs = layer.weight_ih.shape
        self.lstm = torch.nn.LSTM(inputs, rows // 4)
        weights = {
            "weight_ih_l0": layer.weight_ih,
            "weight_hh_l0": layer.weight_hh,
            "bias_ih_l0": layer.bias,
            "bias_hh_l0": np.zeros(rows),
        }
        self.lstm.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return outputs of shape (steps, cells) or (steps, batch, cells)."""
        return self.lstm(x)[0]


def _torch_linear(weight: np.ndarray, bias: np.ndarray) -> torch.nn.Linear:
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
    linear.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return linear


def to_torch_module(
    policy: str | Path | SavedPolicy,
    *,
    norm_layer: bool = True,
    clip_layer: bool = True,
) -> torch.nn.Sequential:
    """Convert a saved policy to a PyTorch module.

    Parameters
    ----------
    policy
        A policy file, or a policy returned by `load_policy`.
    norm_layer
        Whether the module starts with the policy's observation normalisation, if it has
        one. Otherwise, the module expects normalised observations.
    clip_layer
        Whether the module ends by clipping actions to the bounds of the action space,
        if that is a Box.

    Returns
    -------
    torch.nn.Sequential
        Maps float32 observations of shape (..., d) to actions of shape (..., actions)
        for a Box, or to one score per action for Discrete (take the argmax). If the
        policy has an LSTM, the input must be all observations of an episode so far, of
        shape (steps, d) or (steps, batch, d).

    Raises
    ------
    PolicyFileError
        If the file is not a valid policy.
    """
    policy = _loaded(policy)
    modules: list[torch.nn.Module] = []
    if norm_layer and policy.obs_mean is not None and policy.obs_stdev is not None:
        modules.append(ObservationNormalization(policy.obs_mean, policy.obs_stdev))
    activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[policy.activation]
    for layer in policy.layers:
        if isinstance(layer, LSTM):
            modules.append(EpisodeLSTM(layer))
            continue
        modules += [_torch_linear(*layer), activation()]
    # No activation after the last layer.
    del modules[-1]
    if clip_layer and policy.action.kind == "box":
        assert policy.action.low is not None
        assert policy.action.high is not None
        modules.append(ActionClipping(policy.action.low, policy.action.high))
    return torch.nn.Sequential(*modules)


def _loaded(policy: str | Path | SavedPolicy) -> SavedPolicy:
    return policy if isinstance(policy, SavedPolicy) else load_policy(policy)


def policy_metadata(policy: str | Path | SavedPolicy) -> dict[str, Any]:
    """Return the metadata of a saved policy.

    Parameters
    ----------
    policy
        A policy file, or a policy returned by `load_policy`.

    Returns
    -------
    dict
        `env_name`, `env_config`, `observation_size`, `action` (its kind, see
        `ActionSpec`), `hidden`, `lstm_size`, `head`, `activation`, `obs_norm`, and
        `notes`: the text that a user of the original trainer attached to the policy, or
        None. Policies of this trainer also have `generation`, `timesteps`, `seed`,
        `config`, `re_eval_returns` and others.

    Raises
    ------
    PolicyFileError
        If the file is not a valid policy.
    """
    policy = _loaded(policy)
    sizes = policy.architecture
    return {
        "notes": None,
        **policy.metadata.to_notes(),
        "env_name": policy.env_name,
        "env_config": policy.env_config,
        "observation_size": policy.observation_size,
        "action": policy.action.kind,
        "hidden": list(sizes.hidden),
        "lstm_size": sizes.lstm_size,
        "head": list(sizes.head),
        "activation": policy.activation,
        "obs_norm": policy.obs_mean is not None,
    }
