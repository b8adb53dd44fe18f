"""Specs of worlds from POSGGym's spaces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium import spaces

from posggym_compiled.interface import (
    ActionSpec,
    Dense,
    Discrete,
    ObservationSpec,
    OneHot,
    UnsupportedError,
)


def observation_spec(space: spaces.Space[Any]) -> ObservationSpec:
    """Return the spec of an observation space.

    Raises
    ------
    UnsupportedError
        If the space is neither a Box nor made of discrete parts.
    """
    if isinstance(space, spaces.Box):
        return Dense(space.low.ravel(), space.high.ravel(), space.shape)
    parts = list(_discrete_parts(space))
    sizes, starts = np.array(parts, np.int64).reshape(-1, 2).T
    return OneHot(np.ascontiguousarray(sizes), np.ascontiguousarray(starts))


def action_spec(space: spaces.Space[Any]) -> ActionSpec:
    """Return the spec of an action space.

    Raises
    ------
    UnsupportedError
        If the space is neither a one-dimensional Box with bounds nor Discrete from 0.
    """
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return Discrete(int(space.n))
    if isinstance(space, spaces.Box):
        spec = Dense(space.low.ravel(), space.high.ravel(), space.shape)
        if spec.is_rescaled:
            return spec
    raise UnsupportedError(f"actions of {space} are not compiled")


def _discrete_parts(space: spaces.Space[Any]) -> Iterator[tuple[int, int]]:
    """Yield size and smallest value of each discrete part, in flattened order."""
    if isinstance(space, spaces.Discrete):
        yield int(space.n), int(space.start)
    elif isinstance(space, spaces.MultiDiscrete):
        yield from ((int(n), 0) for n in space.nvec.ravel())
    elif isinstance(space, spaces.Tuple):
        for part in space.spaces:
            yield from _discrete_parts(part)
    elif isinstance(space, spaces.Dict):
        for part in space.spaces.values():
            yield from _discrete_parts(part)
    else:
        raise UnsupportedError(f"observations of {space} are not compiled")
