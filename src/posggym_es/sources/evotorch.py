"""Policies saved by EvoTorch's `GymNE.save_solution`: pickles of PyTorch modules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pgpelib.foreign.safe_pickle import (
    ForeignFileError,
    Names,
    Record,
    read_file,
    records,
    safe_load,
    short,
)
from pgpelib.foreign.torch_files import PICKLED_TENSOR_NAMES
from pgpelib.utils.plain_data import is_line
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.policies.foreign import ARGMAX, CLIPPED
from posggym_es.policies.steps import Normalization, Step, is_linear
from posggym_es.sources.building import foreign_policy, metadata_of
from posggym_es.sources.checkpoint_source import CheckpointSource, named_errors
from posggym_es.sources.modules import linear
from posggym_es.sources.settings import AgentSettings, settings_for
from posggym_es.sources.torch_content import named_weights

_LINEAR = "torch.nn.modules.linear.Linear"
_ACTIVATIONS = {
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.activation.ReLU": "relu",
}
_CLIPPING = "evotorch.neuroevolution.net.rl.ActClipWrapperModule"
_NORMALIZING = "evotorch.neuroevolution.net.rl.ObsNormWrapperModule"
_STATISTICS = "evotorch.neuroevolution.net.runningnorm.ObsNormLayer"
_WRAPPERS = (_CLIPPING, _NORMALIZING)
_SEQUENCES = (
    "evotorch.neuroevolution.net.multilayered.MultiLayered",
    "torch.nn.modules.container.ModuleList",
    "torch.nn.modules.container.Sequential",
)
_NAMES: Names = {
    **PICKLED_TENSOR_NAMES,
    **records(
        "datetime.datetime",
        _LINEAR,
        _STATISTICS,
        *_ACTIVATIONS,
        *_WRAPPERS,
        *_SEQUENCES,
    ),
}
# The first key of a saved solution, near the beginning of the file.
_FIRST_KEY = b"solution"


class EvoTorchPolicies(CheckpointSource):
    """Files of `save_solution`, which name their environment if it has an id."""

    name = "evotorch"
    patterns = ("*.pickle", "*.pkl")

    def recognises_file(self, path: Path) -> bool:
        """Return whether a pickle begins as a saved solution."""
        if path.suffix not in (".pickle", ".pkl") or not path.is_file():
            return False
        with path.open("rb") as file:
            return _FIRST_KEY in file.read(64)

    def read(self, path: Path, settings: AgentSettings) -> ConvertiblePolicy:
        """Read a solution; see `CheckpointSource`."""
        settings = settings_for(path, settings)
        with named_errors(path, "a solution of EvoTorch"):
            saved = safe_load(read_file(path), _NAMES)
            if not isinstance(saved, dict) or not isinstance(
                saved.get("policy"), Record
            ):
                raise ForeignFileError("it has no policy")
            network = _network(saved["policy"])
            metadata = metadata_of(
                "EvoTorch", path, timesteps=saved.get("interaction_count")
            )
        env_name = saved.get("env")
        if is_line(env_name):
            settings = AgentSettings(env_name=env_name).merged(settings)
        return foreign_policy(
            path,
            network.steps,
            ARGMAX if network.bounds is None else CLIPPED,
            settings,
            metadata,
            network.normalization,
            network.bounds,
        )


class _Network(NamedTuple):
    steps: list[Step]
    normalization: Normalization | None
    bounds: tuple[np.ndarray, np.ndarray] | None


def _network(module: Record) -> _Network:
    """Return the layers of a module, and what its wrappers do."""
    normalization = bounds = None
    while module.name in _WRAPPERS:
        parts = _part(module, "_modules")
        if module.name == _CLIPPING:
            bounds = _arrays(module, "_low", "_high")
        else:
            normalization = _normalization(parts.get("normalizer"))
        inner = parts.get("wrapped_module")
        if not isinstance(inner, Record):
            raise ValueError(f"{module.name} wraps {short(inner)}")
        module = inner
    steps: list[Step] = []
    for layer in _layers(module):
        if layer.name == _LINEAR:
            steps.append(linear(_weights(layer), "layer"))
            continue
        last = steps[-1] if steps else None
        if not is_linear(last):
            raise ValueError(f"{layer.name} does not follow a linear layer")
        steps[-1] = last._replace(activation=_ACTIVATIONS[layer.name])
    return _Network(steps, normalization, bounds)


def _layers(module: Record) -> Iterator[Record]:
    """Yield linear layers and activations in order."""
    if module.name in (_LINEAR, *_ACTIVATIONS):
        yield module
        return
    if module.name not in _SEQUENCES:
        raise ValueError(f"{module.name} cannot be expressed in POSGGym")
    for part in _part(module, "_modules").values():
        if not isinstance(part, Record):
            raise ValueError(f"{module.name} contains {short(part)}")
        yield from _layers(part)


def _weights(layer: Record) -> dict[str, np.ndarray]:
    found = {k: v for k, v in _part(layer, "_parameters").items() if v is not None}
    return {f"layer.{name}": array for name, array in named_weights(found).items()}


def _normalization(layer: Any) -> Normalization:
    if not isinstance(layer, Record) or layer.name != _STATISTICS:
        raise ValueError(f"observations are normalised by {short(layer)}")
    mean, stdev = _arrays(layer, "_mean", "_stdev")
    low, high = layer.fields.get("_lb"), layer.fields.get("_ub")
    if low is None and high is None:
        return Normalization(mean, stdev)
    if not isinstance(low, float) or not isinstance(high, float) or low != -high:
        raise ValueError(
            f"normalised observations are clipped to {short(low)} and {short(high)}; "
            "only bounds of equal magnitude can be expressed"
        )
    return Normalization(mean, stdev, high)


def _arrays(module: Record, *names: str) -> tuple[np.ndarray, np.ndarray]:
    buffers = _part(module, "_buffers")
    first, second = (
        named_weights({name: buffers.get(name)})[name].astype(np.float64).ravel()
        for name in names
    )
    return first, second


def _part(module: Record, name: str) -> dict[Any, Any]:
    found = module.fields.get(name)
    if not isinstance(found, dict):
        raise ValueError(f"{module.name} has no {name}")
    return found
