"""Reading saved policies, this project's and the original trainer's, executing nothing.

The original trainer pickled whole objects (its own policy classes, gym spaces, torch
modules). The reader below gives the unpickler inert stand-ins for exactly the classes
that such files name, and refuses every other name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from pgpelib.networks import LSTM, Linear
from pgpelib.policies import ActionSpec, SavedPolicy
from pgpelib.runningstat import VARIANCE_FLOOR
from pgpelib.safe_pickle import (
    MAX_FILE_SIZE,
    NUMPY_NAMES,
    TORCH_NAMES,
    Inert,
    safe_load,
)
from pgpelib.saving import FORMAT, from_plain


class PolicyFileError(ValueError):
    """A file that is not a policy; the message names the file and what is wrong."""


class _MLPPolicy(Inert):
    pass


class _RunningStat(Inert):
    pass


class _Space(Inert):
    pass


class _Box(_Space):
    pass


class _Discrete(_Space):
    pass


class _Module(Inert):
    pass


class _Linear(_Module):
    pass


class _Sequential(_Module):
    pass


class _Tanh(_Module):
    pass


class _ReLU(_Module):
    pass


class _RandomState(Inert):
    def __init__(self, *_: Any) -> None:
        """Take and ignore the name of a bit generator."""


def _rebuild_parameter(data: torch.Tensor, *_: Any) -> torch.Tensor:
    return data


# The complete list of names that a policy file may use.
_ALLOWED: dict[tuple[str, str], Any] = {
    **NUMPY_NAMES,
    **TORCH_NAMES,
    ("numpy.random._pickle", "__randomstate_ctor"): _RandomState,
    ("pgpelib.policies", "MLPPolicy"): _MLPPolicy,
    ("pgpelib.policies", "LinearPolicy"): _MLPPolicy,
    ("pgpelib.runningstat", "RunningStat"): _RunningStat,
    ("gym.spaces.box", "Box"): _Box,
    ("gym.spaces.discrete", "Discrete"): _Discrete,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch.nn.modules.linear", "Linear"): _Linear,
    ("torch.nn.modules.container", "Sequential"): _Sequential,
    ("torch.nn.modules.activation", "Tanh"): _Tanh,
    ("torch.nn.modules.activation", "ReLU"): _ReLU,
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
        Weights as float32 or float64 arrays, observation statistics as float64.

    Raises
    ------
    PolicyFileError
        If the file is not a policy: unreadable, truncated, names anything outside the
        allow-list, or has weights of wrong shapes or non-finite values.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_SIZE:
            raise PolicyFileError(f"{path}: larger than any policy file")
        data = safe_load(path.read_bytes(), _ALLOWED)
        if isinstance(data, dict) and data.get("format") == FORMAT:
            return from_plain(data)
        if isinstance(data, _MLPPolicy):
            return _from_original(data)
    except PolicyFileError:
        raise
    except OSError as error:
        raise PolicyFileError(f"{path}: {error.strerror}") from error
    # A damaged pickle can raise nearly any exception from within the unpickler.
    except Exception as error:
        raise PolicyFileError(f"{path}: not a policy file: {error}") from error
    raise PolicyFileError(f"{path}: a pickle, but not of a policy")


def _from_original(data: _MLPPolicy) -> SavedPolicy:
    fields = data.__dict__
    mean, stdev = _original_normalization(fields["_main_obs_stats"])
    layers, activation = _network(fields["_policy"])
    return SavedPolicy(
        layers=layers,
        activation=activation,
        obs_mean=mean,
        obs_stdev=stdev,
        action=_original_action(fields["_action_space"]),
        env_name=str(fields["_env_name"]),
        env_config=dict(fields["_env_config"]),
        notes={"notes": fields["notes"]} if fields.get("notes") is not None else {},
    )


def _original_normalization(stats: Any) -> tuple[Any, Any]:
    if stats is None or stats._count == 0:
        return None, None
    mean = np.asarray(stats._sum, dtype=np.float64) / stats._count
    mean_square = np.asarray(stats._sumsq, dtype=np.float64) / stats._count
    variance = np.maximum(mean_square - np.square(mean), VARIANCE_FLOOR)
    return mean, np.sqrt(variance)


def _original_action(space: Any) -> ActionSpec:
    if isinstance(space, _Discrete):
        return ActionSpec("discrete", n=int(space.__dict__["n"]))
    if isinstance(space, _Box):
        low, high = space.__dict__["low"], space.__dict__["high"]
        return ActionSpec("box", low.astype(np.float64), high.astype(np.float64))
    raise ValueError("the action space is neither Box nor Discrete")


def _network(module: _Module) -> tuple[list[Linear], str]:
    """Return the linear layers and the activation of a module tree."""
    layers: list[Linear] = []
    activations: list[str] = []

    def visit(part: Any) -> None:
        if isinstance(part, _Linear):
            parameters = part.__dict__["_parameters"]
            weight = parameters["weight"].numpy()
            bias = parameters.get("bias")
            layers.append(
                (
                    weight,
                    np.zeros(len(weight), weight.dtype)
                    if bias is None
                    else bias.numpy(),
                )
            )
        elif isinstance(part, _Tanh | _ReLU):
            activations.append("tanh" if isinstance(part, _Tanh) else "relu")
        elif isinstance(part, _Sequential):
            for child in part.__dict__["_modules"].values():
                visit(child)
        else:
            raise ValueError(f"a part of the network is {type(part).__name__}")

    visit(module)
    if len(activations) != len(layers) - 1 or len(set(activations)) > 1:
        raise ValueError(
            "the network is not linear layers with one kind of activation in between"
        )
    return layers, activations[0] if activations else "tanh"


class ObservationNormalization(torch.nn.Module):
    """`(x - mean) / stdev` for observations of shape (..., d)."""

    mean: torch.Tensor
    stdev: torch.Tensor

    def __init__(self, mean: np.ndarray, stdev: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("stdev", torch.tensor(stdev, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise."""
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
        """Clip."""
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
        """Return the outputs (steps, cells) or (steps, batch, cells)."""
        return self.lstm(x)[0]


def _torch_linear(weight: np.ndarray, bias: np.ndarray) -> torch.nn.Linear:
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
    linear.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})
    return linear


def to_torch_module(policy: str | Path | SavedPolicy) -> torch.nn.Sequential:
    """Make a PyTorch module of a saved policy.

    Parameters
    ----------
    policy
        A policy file, or what `load_policy` returned.

    Returns
    -------
    torch.nn.Sequential
        Maps observations (..., d), float32, to actions (..., actions) within their
        bounds for a Box, or to one score per action (take the argmax) for Discrete.
        A policy with an LSTM maps the observations of an episode from its start,
        (steps, d) or (steps, batch, d).

    Raises
    ------
    PolicyFileError
        If the file is not a policy.
    """
    if not isinstance(policy, SavedPolicy):
        policy = load_policy(policy)
    modules: list[torch.nn.Module] = []
    if policy.obs_mean is not None and policy.obs_stdev is not None:
        modules.append(ObservationNormalization(policy.obs_mean, policy.obs_stdev))
    activation = {"tanh": torch.nn.Tanh, "relu": torch.nn.ReLU}[policy.activation]
    for layer in policy.layers:
        if isinstance(layer, LSTM):
            modules.append(EpisodeLSTM(layer))
            continue
        modules += [_torch_linear(*layer), activation()]
    # No activation after the last layer.
    del modules[-1]
    if policy.action.kind == "box":
        assert policy.action.low is not None
        assert policy.action.high is not None
        modules.append(ActionClipping(policy.action.low, policy.action.high))
    return torch.nn.Sequential(*modules)


def policy_metadata(path: str | Path) -> dict[str, Any]:
    """Return what is known about a saved policy besides its weights.

    Returns
    -------
    dict
        `env_name`, `env_config`, `observation_size`, `action` ("box" or "discrete"),
        `hidden`, `lstm_size`, `head`, `activation`, `obs_norm` and, for policies of
        this trainer, its notes (generation, timesteps, seed, config, re_eval).

    Raises
    ------
    PolicyFileError
        If the file is not a policy.
    """
    policy = load_policy(path)
    return {
        "env_name": policy.env_name,
        "env_config": policy.env_config,
        "observation_size": policy.observation_size,
        "action": policy.action.kind,
        **_sizes(policy),
        "activation": policy.activation,
        "obs_norm": policy.obs_mean is not None,
        **policy.notes,
    }


def _sizes(policy: SavedPolicy) -> dict[str, Any]:
    """Return the sizes of a policy's layers by the names of the training settings."""
    sizes: dict[str, Any] = {"hidden": [], "lstm_size": 0, "head": []}
    for layer in policy.layers[:-1]:
        if isinstance(layer, LSTM):
            sizes["lstm_size"] = layer.weight_hh.shape[1]
        else:
            sizes["head" if sizes["lstm_size"] else "hidden"].append(len(layer[1]))
    return sizes
