"""What archives of `torch.save` hold, read once, executing nothing."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from pgpelib.foreign.safe_pickle import (
    Budget,
    ForeignFileError,
    Names,
    checked_key,
    read_file,
    records,
    short,
)
from pgpelib.foreign.torch_files import load_archive
from pgpelib.utils.plain_data import is_line

SPACE_NAMES: Names = records(
    "gymnasium.spaces.box.Box",
    "gymnasium.spaces.discrete.Discrete",
    "gymnasium.spaces.multi_discrete.MultiDiscrete",
    "gymnasium.spaces.multi_binary.MultiBinary",
    "gymnasium.spaces.dict.Dict",
    "gymnasium.spaces.tuple.Tuple",
    "numpy.random._pickle.__generator_ctor",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random._mt19937.MT19937",
    "numpy.random._pcg64.PCG64",
    "numpy.random.bit_generator.SeedSequence",
    "numpy.random.bit_generator.__pyx_unpickle_SeedSequence",
)
"""Names in pickles of Gymnasium's spaces, which become records."""


def _set(_: Budget, items: Any = ()) -> set[Any]:
    if not isinstance(items, list | tuple):
        raise ForeignFileError("a set is not made of a list")
    return {checked_key(item) for item in items}


# The complete list of names beyond those of tensors that an archive may use.
_NAMES: Names = {
    **{
        (module, kind): _set
        for module in ("builtins", "__builtin__")
        for kind in ("set", "frozenset")
    },
    **SPACE_NAMES,
    **records(
        "pathlib.Path",
        "pathlib.PosixPath",
        "pathlib.PurePosixPath",
        "pathlib.PureWindowsPath",
        "pathlib.WindowsPath",
        "torch.Size",
        "torch.device",
    ),
}


def torch_content(path: Path) -> Any:
    """Return what an archive holds; arrays for tensors, records for other objects.

    Raises
    ------
    ForeignFileError
        If it cannot be read; the message does not name the file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ForeignFileError(str(error.strerror)) from error
    return _read(path, status.st_mtime_ns, status.st_size)


# Recognising a file reads it already.
@functools.lru_cache(maxsize=8)
def _read(path: Path, _time: int, _size: int) -> Any:
    return load_archive(read_file(path), _NAMES)


def named_weights(model: Any) -> dict[str, np.ndarray]:
    """Return the float32 weights of a state dict.

    Raises
    ------
    ValueError
        If it is not a mapping of names to arrays of numbers.
    """
    if not isinstance(model, dict):
        raise ValueError(f"the model is {short(model)}")
    weights = {}
    for name, array in model.items():
        if not is_line(name):
            raise ValueError(f"a weight is called {short(name)}")
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
            raise ValueError(f"the weight {name} is not an array of numbers")
        weights[name] = array.astype(np.float32)
    return weights
