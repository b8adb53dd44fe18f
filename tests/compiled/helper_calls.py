"""Calling helpers of kernels from Python, for which they have no machine code."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numba

from posggym_compiled.jit import OPTIONS


class Helpers:
    """The names of a module, with helpers compiled into functions that Python can call.

    Parameters
    ----------
    module
        A module with helpers.
    """

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        options = getattr(value, "targetoptions", {})
        if options.get("no_cpython_wrapper"):
            helper = value
            value = numba.njit(**OPTIONS)(lambda *args: helper(*args))
        setattr(self, name, value)
        return value
