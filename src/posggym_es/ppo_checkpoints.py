"""Checkpoints of the PPO baselines: reading them safely, and their policies.

A checkpoint `checkpoint_<update>_<policy_id>.pt` is a dict with the weights (`model`),
the training configuration (`config`) and the optimizer's state. The configuration holds
Gymnasium spaces and NumPy objects, so plain `weights_only` loading refuses it. Here it
sees inert stand-ins for exactly those classes, and nothing in the file is executed.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.serialization import safe_globals

from pgpelib.safe_pickle import MAX_FILE_SIZE, check_checkpoint
from pgpelib.tasks.registry import POSGGYM_PREFIX
from posggym_es.checkpoint_names import FILE_RE, CheckpointError
from posggym_es.ppo_data import PPOPolicyData


class _Inert:
    """Stand-in for an object of a checkpoint's configuration: does nothing."""

    def __init__(self, *_: Any) -> None:
        """Take and ignore what the object was made of."""

    def __setstate__(self, state: Any) -> None:
        """Keep nothing: spaces are derived from the environment instead."""


class _Space(_Inert):
    pass


def _make_inert(*_: Any) -> _Inert:
    return _Inert()


# The complete list of names beyond PyTorch's own that a checkpoint may use.
_ALLOWED: list[Any] = [
    *(
        (_Space, f"gymnasium.spaces.{module}.{name}")
        for module, name in (
            ("box", "Box"),
            ("discrete", "Discrete"),
            ("multi_discrete", "MultiDiscrete"),
        )
    ),
    _Inert,
    (_make_inert, "numpy.random._pickle.__generator_ctor"),
    (_make_inert, "numpy.random._pickle.__bit_generator_ctor"),
    (np.core.multiarray._reconstruct, "numpy.core.multiarray._reconstruct"),  # type: ignore[attr-defined]
    (np.core.multiarray._reconstruct, "numpy._core.multiarray._reconstruct"),  # type: ignore[attr-defined]
    (np.core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
    (np.core.multiarray.scalar, "numpy._core.multiarray.scalar"),  # type: ignore[attr-defined]
    np.ndarray,
    np.dtype,
    *(type(np.dtype(code)) for code in ("?", "i1", "u1", "i4", "i8", "f4", "f8")),
]


def load_checkpoint(path: Path) -> PPOPolicyData:
    """Read a checkpoint, executing nothing.

    Raises
    ------
    CheckpointError
        If the file is not a checkpoint, names anything outside the allow-list, or its
        policy cannot be expressed in POSGGym's format.
    """
    try:
        if path.stat().st_size > MAX_FILE_SIZE:
            raise CheckpointError(f"{path}: larger than any checkpoint")
        check_checkpoint(path.read_bytes())
        with safe_globals(_ALLOWED):
            data = torch.load(path, weights_only=True, map_location="cpu")
    except CheckpointError:
        raise
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise CheckpointError(f"{path}: not a checkpoint: {_reason(error)}") from error
    except Exception as error:
        # A damaged file can make the unpickler fail in any way.
        raise CheckpointError(
            f"{path}: not a checkpoint, or damaged ({type(error).__name__}: {error})"
        ) from error
    try:
        return _policy(data, path)
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: not a checkpoint of the PPO baselines: "
            f"{type(error).__name__}: {error}"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _reason(error: Exception) -> str:
    """Return the offending name of a restricted load, without PyTorch's advice.

    That advice is to load the file without restriction.
    """
    match = re.search(r"GLOBAL (\S+) (?:was not an allowed|whose module)", str(error))
    if match:
        return f"it names {match[1]}, which no checkpoint needs"
    text = str(error).splitlines()[0]
    return "its pickle is damaged" if "weights_only" in text else text


def _policy(data: Any, path: Path) -> PPOPolicyData:
    config = data["config"]
    weights = {}
    for name, tensor in data["model"].items():
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"the weight {name} is a {type(tensor).__name__}")
        weights[str(name)] = tensor.detach().to(torch.float32).numpy()
    for key in ("lstm_use_prev_action", "lstm_use_prev_reward"):
        if config.get(key, False):
            raise ValueError(
                f"{key}: the LSTM reads the last action or reward, which POSGGym "
                "0.6.0's policies cannot: it fails to make such an LSTM"
            )
    recurrent = bool(config.get("use_lstm", "lstm.weight_ih_l0" in weights))
    update, policy_id = _identity(data, path)
    return PPOPolicyData(
        weights=weights,
        trunk_sizes=_sizes(config, "trunk_sizes", "trunk_size"),
        head_sizes=_sizes(config, "head_sizes", "head_size"),
        lstm_size=int(config["lstm_size"]) if recurrent else 0,
        lstm_layers=(
            int(config.get("lstm_num_layers", config.get("lstm_layers", 1)))
            if recurrent
            else 0
        ),
        activation=str(config.get("activation", "tanh")),
        env_name=POSGGYM_PREFIX + str(config["env_id"]),
        env_config=_plain(config.get("env_kwargs") or {}, "env_kwargs"),
        notes={
            "algorithm": "PPO",
            "policy_id": policy_id,
            "update": update,
            "timesteps": int(data["global_step"]) if "global_step" in data else None,
        },
    )


def _identity(data: dict[str, Any], path: Path) -> tuple[int, str]:
    match = FILE_RE.fullmatch(path.name)
    if match is not None:
        return int(match[1]), match[2]
    return int(data.get("update", 0)), path.stem


def _sizes(config: dict[str, Any], *names: str) -> list[int]:
    """Return sizes under their name or an older one; older ones may be one number."""
    for name in names:
        if name in config:
            value = config[name]
            values = [value] if isinstance(value, int) else list(value)
            return [int(size) for size in values]
    return []


def _plain(value: Any, name: str) -> Any:
    """Return builtins, refusing anything that JSON could not hold."""
    if isinstance(value, dict):
        return {str(k): _plain(v, f"{name}.{k}") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, name) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"{name} is a {type(value).__name__}, not plain data")


def ordered(weights: dict[str, np.ndarray]) -> OrderedDict[str, torch.Tensor]:
    """Return weights as POSGGym keeps them: float32 tensors in a fixed order."""
    places = {"trunk": 0, "lstm": 1, "actor": 2, "critic": 3}
    names = sorted(weights, key=lambda name: places[name.split(".")[0]])
    return OrderedDict(
        (name, torch.tensor(weights[name], dtype=torch.float32)) for name in names
    )
