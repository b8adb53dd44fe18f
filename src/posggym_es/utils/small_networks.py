"""Settings of PyTorch for networks whose forward pass takes microseconds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def small_networks() -> Iterator[None]:
    """Save time while small policies play; a context manager or decorator.

    - PyTorch is limited to one thread. Additional threads would only wait for each
      other, especially when other processes use the cores.
    - PyTorch's compiler is not imported, which takes more than a second. POSGGym's
      policies call `torch.use_deterministic_algorithms` at each reset; it sets an
      option of the compiler, too, and policies are not compiled.
    """
    threads = torch.get_num_threads()
    with_compiler = torch.use_deterministic_algorithms
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms = _use_deterministic_algorithms
    try:
        yield
    finally:
        torch.use_deterministic_algorithms = with_compiler
        torch.set_num_threads(threads)


def _use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    error = "warn" if warn_only else "error"
    torch.set_deterministic_debug_mode(error if mode else "default")
