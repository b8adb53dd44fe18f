"""The pipeline from a trained policy to an agent registered in POSGGym.

`register_agents` makes the agents of a folder known to the installed posggym, and
`import posggym_es.zoo` those that come with this package. `extract`, `convert`,
`register` and `verify` run the pipeline's steps as Python functions.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# These come first: they set variables that NumPy, PyTorch and others read when loaded.
from pgpelib.utils import threads, writable_home

if TYPE_CHECKING:
    from posggym_es.agents.run_time import register_agents
    from posggym_es.chain import convert, extract, register, verify

__all__ = [
    "convert",
    "extract",
    "register",
    "register_agents",
    "threads",
    "verify",
    "writable_home",
]


def __getattr__(name: str) -> Any:
    """Import functions on first use: loading agents needs no step, and Snakemake none.

    Raises
    ------
    AttributeError
        If there is no such name.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "agents.run_time" if name == "register_agents" else "chain"
    return getattr(importlib.import_module(f"posggym_es.{home}"), name)
