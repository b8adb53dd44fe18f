"""Between worlds and networks: processed observations, and actions from outputs.

What depends on the kind of spaces, one-hot or Box, is selected while Numba compiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.extending import overload

from posggym_compiled.interface import Dense, Floats, UnsupportedError
from posggym_compiled.jit import INLINED, lean_helper
from posggym_compiled.networks import Vector, exp
from posggym_compiled.random import numpy_random
from posggym_compiled.random.numpy_random import Words

# The processors of trained networks rescale to this range.
LOW, HIGH = -1.0, 1.0


class Rescaling(NamedTuple):
    """What rescales bounded Boxes, for kernels.

    Parameters
    ----------
    low, high
        Shape (agents, size): bounds of the Box, in its dtype. Shape (agents, 0) for
        spaces that are left as they are.
    factor
        Of the same shape: width of [-1, 1] over that of the Box.
    """

    low: Floats
    high: Floats
    factor: Floats


def no_rescaling(agents: int) -> Rescaling:
    """Return what leaves all values as they are."""
    empty = np.zeros((agents, 0), np.float32)
    return Rescaling(empty, empty, empty)


def rescaling(specs: Sequence[Any]) -> Rescaling:
    """Return what rescales spaces.

    Raises
    ------
    UnsupportedError
        If the spaces of some agents are rescaled and those of others are not.
    """
    rescaled = [isinstance(spec, Dense) and spec.is_rescaled for spec in specs]
    if not any(rescaled):
        return no_rescaling(len(specs))
    if not all(rescaled):
        raise UnsupportedError("Boxes with bounds for some agents only")
    low = np.stack([spec.low for spec in specs])
    high = np.stack([spec.high for spec in specs])
    return Rescaling(low, high, ((HIGH - LOW) / (high - low)).astype(low.dtype))


def is_integer(array: Any) -> bool:
    """Return whether numbers of an array are integers, from its Numba type."""
    return isinstance(array.dtype, numba.types.Integer)


# --- observations ---------------------------------------------------------------------


def process(scaling: Rescaling, agent: int, x: Any) -> None:
    """Process an observation in place."""
    raise NotImplementedError("compiled code only")


@overload(process, strict=False, jit_options=INLINED)
def _process_kind(scaling: Any, agent: Any, x: Any) -> Any:
    def leave(scaling: Rescaling, agent: int, x: Any) -> None:
        pass

    def rescale(scaling: Rescaling, agent: int, x: Any) -> None:
        low, high = scaling.low[agent], scaling.high[agent]
        factor = scaling.factor[agent]
        # As the RescaleProcessor computes, in the dtype of the Box.
        for i in range(len(low)):
            value = min(max(low.dtype.type(x[i]), low[i]), high[i])
            x[i] = (value - low[i]) * factor[i] + low.dtype.type(LOW)

    return leave if is_integer(x) else rescale


# --- actions --------------------------------------------------------------------------


def decode(scaling: Rescaling, outputs: Vector, n: int, agent: int, out: Any) -> None:
    """Write the action of an agent for the outputs of a deterministic network."""
    raise NotImplementedError("compiled code only")


@overload(decode, strict=False, jit_options=INLINED)
def _decode_kind(scaling: Any, outputs: Any, n: Any, agent: Any, out: Any) -> Any:
    def argmax(
        scaling: Rescaling, outputs: Vector, n: int, agent: int, out: Any
    ) -> None:
        best, most = 0, outputs[0]
        for i in range(1, n):
            # No branch: processors guess them, and nobody can guess these.
            more = outputs[i] > most
            best = i if more else best
            most = outputs[i] if more else most
        out[agent] = best

    def values(
        scaling: Rescaling, outputs: Vector, n: int, agent: int, out: Any
    ) -> None:
        for i in range(n):
            _unprocess(scaling, min(max(outputs[i], LOW), HIGH), agent, i, out)

    return argmax if is_integer(out) else values


@lean_helper
def _unprocess(scaling: Rescaling, value: float, agent: int, i: int, out: Any) -> None:
    """Write a number of an action as the RescaleProcessor does."""
    low, high = scaling.low[agent, i], scaling.high[agent, i]
    value = (value - LOW) / scaling.factor[agent, i] + low
    out[agent, i] = min(max(value, low), high)


def sample(
    scaling: Rescaling, outputs: Vector, n: int, agent: int, rng: Words, out: Any
) -> None:
    """Draw the action of an agent from the outputs of a network, which it overwrites.

    Outputs are the logits of a softmax, or means and then logarithms of standard
    deviations. Draws use the generator as POSGGym's `PPOPolicy` does:
    `Generator.choice(n, p=...)` and `Generator.normal(means, stdevs)`.
    """
    raise NotImplementedError("compiled code only")


@overload(sample, strict=False, jit_options=INLINED)
def _sample_kind(
    scaling: Any, outputs: Any, n: Any, agent: Any, rng: Any, out: Any
) -> Any:
    def categorical(
        scaling: Rescaling, outputs: Vector, n: int, agent: int, rng: Words, out: Any
    ) -> None:
        largest = outputs[0]
        for i in range(1, n):
            largest = max(largest, outputs[i])
        total = 0.0
        for i in range(n):
            total += exp(outputs[i] - largest)
            outputs[i] = total
        draw = numpy_random.random(rng)
        action = 0
        while action < n - 1 and outputs[action] / total <= draw:
            action += 1
        out[agent] = action

    def gaussian(
        scaling: Rescaling, outputs: Vector, n: int, agent: int, rng: Words, out: Any
    ) -> None:
        for i in range(n):
            value = outputs[i] + exp(outputs[n + i]) * numpy_random.normal(rng)
            _unprocess(scaling, value, agent, i, out)

    return categorical if is_integer(out) else gaussian


def draw(scaling: Rescaling, n: int, agent: int, rng: Words, out: Any) -> None:
    """Draw an action of an agent uniformly, as the `sample` of Gymnasium's spaces."""
    raise NotImplementedError("compiled code only")


@overload(draw, strict=False, jit_options=INLINED)
def _draw_kind(scaling: Any, n: Any, agent: Any, rng: Any, out: Any) -> Any:
    def discrete(scaling: Rescaling, n: int, agent: int, rng: Words, out: Any) -> None:
        out[agent] = numpy_random.integers(rng, n)

    def box(scaling: Rescaling, n: int, agent: int, rng: Words, out: Any) -> None:
        for i in range(n):
            low = np.float64(scaling.low[agent, i])
            high = np.float64(scaling.high[agent, i])
            out[agent, i] = numpy_random.uniform(rng, low, high)

    return discrete if is_integer(out) else box


def set_action(action: int, agent: int, out: Any) -> None:
    """Write a discrete action that a heuristic has chosen."""
    raise NotImplementedError("compiled code only")


@overload(set_action, strict=False, jit_options=INLINED)
def _set_action_kind(action: Any, agent: Any, out: Any) -> Any:
    def write(action: int, agent: int, out: Any) -> None:
        out[agent] = action

    def never(action: int, agent: int, out: Any) -> None:
        pass

    return write if is_integer(out) else never
