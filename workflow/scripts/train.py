#!/usr/bin/env python
"""Train a policy with PGPE and ClipUp: the program of `pgpelib.training.experiment`."""

from __future__ import annotations

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until `main` runs, Ctrl-C ends the process without a traceback of the imports.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import pgpelib.utils.quick_start  # noqa: F401

if __name__ == "__main__":
    # Worker processes import this file as well, and do not need Sacred.
    from pgpelib.training.experiment import main

    main(sys.argv[1:])
