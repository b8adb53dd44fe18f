"""Limiting PyTorch's threads while small policies play."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread; a context manager or decorator.

    A policy's forward pass takes microseconds, so additional threads would only wait
    for each other, especially when other processes use the cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
