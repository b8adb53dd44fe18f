"""POSGGym's policy files: writing them reproducibly."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from posggym.agents.torch_policy import PPOTorchModelSaveFileFormat

from pgpelib.safe_pickle import (
    MAX_FILE_SIZE,
    TORCH_NAMES,
    safe_load,
    typed_storages,
)


class _ReproduciblePickler(pickle.Pickler):
    """Pickles tensors to the same bytes in every process.

    PyTorch's own pickling of a tensor names its storage by memory address. Its zip
    format numbers storages instead, and POSGGym's loader reads both.
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
    """Return the bytes of a POSGGym policy file: a pickled dict of the format's fields.

    Parameters
    ----------
    model
        The fields; weights as float32 tensors on the CPU.
    """
    buffer = io.BytesIO()
    _ReproduciblePickler(buffer, protocol=4).dump(model._asdict())
    return buffer.getvalue()


def read_model_file(path: Path) -> dict[str, Any]:
    """Return the fields of a POSGGym policy file, executing nothing.

    POSGGym's own loader executes what a file says: use this one on files of others.

    Raises
    ------
    ValueError
        If the file is not a policy file; the message names it.
    """
    try:
        if path.stat().st_size > MAX_FILE_SIZE:
            raise ValueError("larger than any policy file")
        fields = safe_load(path.read_bytes(), TORCH_NAMES)
    except OSError:
        raise
    except Exception as error:
        # A damaged pickle can fail in any way.
        raise ValueError(f"{path}: not a policy file: {error}") from error
    expected = set(PPOTorchModelSaveFileFormat._fields)
    if not isinstance(fields, dict) or set(fields) != expected:
        raise ValueError(f"{path}: not a policy file: it has other fields")
    return fields
