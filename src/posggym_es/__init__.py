"""The pipeline from a trained policy to an agent registered in POSGGym.

`extract`, `convert`, `register` and `verify` run its steps as Python functions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# These come first: they set variables that NumPy, PyTorch and others read when loaded.
from pgpelib.utils import threads, writable_home

if TYPE_CHECKING:
    from posggym_es.chain import convert, extract, register, verify

__all__ = ["convert", "extract", "register", "threads", "verify", "writable_home"]


def __getattr__(name: str) -> Any:
    """Import the steps on first use, because the Snakefile does not need them."""
    if name in __all__:
        return getattr(importlib.import_module("posggym_es.chain"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
