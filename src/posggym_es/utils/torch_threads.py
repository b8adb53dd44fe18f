"""Threads of PyTorch while small policies play."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch compute with one thread; as a context or a decorator.

    A policy's forward pass takes microseconds. More threads only wait for each other,
    many times as long when other processes need the cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
