"""From a trained policy to an agent that is registered in POSGGym.

`extract`, `convert`, `register` and `verify` are the steps as plain calls.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# First: NumPy, PyTorch and others read what these set when they are loaded.
from pgpelib.utils import threads, writable_home

if TYPE_CHECKING:
    from posggym_es.chain import convert, extract, register, verify

__all__ = ["convert", "extract", "register", "threads", "verify", "writable_home"]


def __getattr__(name: str) -> Any:
    """Import the steps when they are used: the Snakefile needs none of them."""
    if name in __all__:
        return getattr(importlib.import_module("posggym_es.chain"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
