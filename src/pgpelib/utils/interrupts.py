"""Ctrl-C and SIGTERM, which batch systems send at a time limit, as one exception."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The process received SIGINT or SIGTERM.

    Parameters
    ----------
    number
        The signal.

    Attributes
    ----------
    exit_code
        What the process exits with, as shells do.
    message
        What the user is told.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number
        self.message = "Interrupted."


def raise_interrupted() -> None:
    """Make the first SIGINT or SIGTERM raise `Interrupted` in the main thread.

    Later ones are ignored: whoever interrupts a group of processes may signal some of
    them twice. A signal that this process was started to ignore stays ignored.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def _handle(number: int, frame: Any) -> None:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(number)


@contextlib.contextmanager
def blocked_for_children() -> Iterator[None]:
    """Keep SIGINT from processes started in the block.

    On a terminal, Ctrl-C reaches all processes; this one ends its children itself.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
