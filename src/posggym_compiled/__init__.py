"""POSGGym's environments as machine code, with the same episodes bit for bit.

`make_vec` makes many environments that are stepped together; `world_for` gives the
compiled form of one, for `rollouts.Players`; `unsupported` says why there is none.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posggym_compiled.interface import UnsupportedError, unsupported, world_for
    from posggym_compiled.vector import make_vec

__all__ = ["UnsupportedError", "make_vec", "unsupported", "world_for"]


def __getattr__(name: str) -> Any:
    # On demand, because they import Numba; `random.splitmix` works without it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "vector" if name == "make_vec" else "interface"
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
