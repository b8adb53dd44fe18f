"""Reproducible writing and safe reading of POSGGym's policy files."""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from posggym.agents.torch_policy import PPOTorchModelSaveFileFormat

from pgpelib.foreign.safe_pickle import ForeignFileError, read_file, safe_load
from pgpelib.foreign.torch_files import PICKLED_TENSOR_NAMES
from posggym_es.models.network_weights import check_weights


@contextlib.contextmanager
def typed_storages() -> Iterator[None]:
    """Silence PyTorch's warning about typed storages, which policy files contain.

    A context manager or decorator.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TypedStorage is deprecated")
        yield


class _ReproduciblePickler(pickle.Pickler):
    """Pickles tensors to the same bytes in every process.

    PyTorch's own pickles name a tensor's storage by its memory address. Its zip format
    numbers storages instead, and POSGGym's loader reads both.
    """

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, torch.Tensor):
            tensor = obj.detach().contiguous()
            return (
                torch._utils._rebuild_tensor_v2,
                (
                    tensor.clone().storage(),
                    0,
                    tuple(tensor.size()),
                    tensor.stride(),
                    False,
                    {},
                ),
            )
        if isinstance(obj, torch.storage.TypedStorage | torch.UntypedStorage):
            buffer = io.BytesIO()
            torch.save(obj, buffer)
            load: Callable[[bytes], Any] = torch.storage._load_from_bytes
            return load, (buffer.getvalue(),)
        return NotImplemented


@typed_storages()
def model_file_bytes(model: PPOTorchModelSaveFileFormat) -> bytes:
    """Serialise a policy as a POSGGym policy file, a pickled dict of the fields.

    Parameters
    ----------
    model
        The fields, with weights as float32 tensors on the CPU.
    """
    buffer = io.BytesIO()
    _ReproduciblePickler(buffer, protocol=4).dump(model._asdict())
    return buffer.getvalue()


def read_model_file(path: Path) -> dict[str, Any]:
    """Return the fields of a POSGGym policy file, without executing anything.

    POSGGym's own loader executes code in files. Call this function first on files from
    third parties: if it succeeds, the loader returns the same fields, and uses no more
    memory than a small multiple of the file's size.

    Parameters
    ----------
    path
        A `.pkl` file in the layout of POSGGym's models repository.

    Returns
    -------
    dict
        The fields of `PPOTorchModelSaveFileFormat`; `weights` has float32 tensors.

    Raises
    ------
    ValueError
        If the file cannot be read or is not a policy file; the one-line message names
        the file and the reason.
    """
    try:
        return parse_model_file(read_file(path))
    except ForeignFileError as error:
        raise ForeignFileError(f"{path}: not a policy file: {error}") from error


def parse_model_file(data: bytes) -> dict[str, Any]:
    """Return the fields of a POSGGym policy file, given its content.

    See `read_model_file`; this function is for data without a file, such as a download.

    Raises
    ------
    ForeignFileError
        If the data are not a policy file; the message does not name a file.
    """
    fields = safe_load(data, PICKLED_TENSOR_NAMES)
    expected = set(PPOTorchModelSaveFileFormat._fields)
    if not isinstance(fields, dict) or set(fields) != expected:
        raise ForeignFileError("it has other fields")
    weights = fields["weights"]
    if not isinstance(weights, dict) or not all(isinstance(k, str) for k in weights):
        raise ForeignFileError("its weights are not named")
    if not isinstance(fields["activation"], str):
        raise ForeignFileError("its activation is not a name")
    for key in ("lstm_use_prev_action", "lstm_use_prev_reward"):
        if fields[key] is not False:
            raise ForeignFileError(f"{key}: POSGGym 0.6.0 cannot make such an LSTM")
    try:
        check_weights(
            weights,
            fields["trunk_sizes"],
            fields["lstm_size"],
            fields["lstm_layers"],
            fields["head_sizes"],
        )
    except ValueError as error:
        raise ForeignFileError(str(error)) from error
    tensors = OrderedDict(
        (name, torch.from_numpy(array.astype(np.float32)))
        for name, array in weights.items()
    )
    return {**fields, "weights": tensors}


def ordered(weights: dict[str, np.ndarray]) -> OrderedDict[str, torch.Tensor]:
    """Convert weights to float32 tensors, in POSGGym's order."""
    places = {"trunk": 0, "lstm": 1, "actor": 2, "critic": 3}
    # Also by name, because the order of arrays from safetensors is random.
    names = sorted(weights, key=lambda name: (places[name.split(".")[0]], name))
    return OrderedDict(
        (name, torch.tensor(weights[name], dtype=torch.float32)) for name in names
    )
