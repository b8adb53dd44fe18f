"""Networks in compiled form, for calls from Python."""

from __future__ import annotations

import numpy as np

from posggym_compiled.jit import kernel
from posggym_compiled.networks import (
    forward,
    make_plan,
    memory_for,
    pack,
    packed_weights,
    scratch_for,
)

forward_once = kernel(lambda *args: forward(*args))


class Compiled:
    """A compiled network, called with one observation after the other."""

    def __init__(
        self, architecture, parameters, mean=None, stdev=None, dtype=np.float64
    ):
        self.architecture = architecture
        self.plan = make_plan([architecture])
        self.packed = packed_weights(self.plan, dtype)[0]
        none = np.zeros(0)
        norm = (none, none) if mean is None else (mean, stdev)
        pack(self.plan, 0, parameters, *norm, self.packed)
        self.memory = memory_for(self.plan, dtype=dtype)
        self.scratch = scratch_for(self.plan, dtype=dtype)

    def __call__(self, x):
        into = forward_once(self.plan, 0, self.packed, x, self.memory, self.scratch)
        return self.scratch[into].reshape(-1)[: self.architecture.output_size].copy()
