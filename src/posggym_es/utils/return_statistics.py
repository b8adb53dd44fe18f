"""Returns of episodes as people read them."""

from __future__ import annotations

import numpy as np
from scipy import special


def shown(value: float) -> str:
    """Return a return for people: POSGGym's are around 1, locomotion's in thousands."""
    # z: a small loss is 0.00, not -0.00.
    return f"{value:z.1f}" if abs(value) >= 10 else f"{value:z.2f}"


def mean_interval(
    returns: list[float], confidence: float = 0.95
) -> tuple[float, float]:
    """Return the mean and half the width of its confidence interval (Student's t)."""
    values = np.asarray(returns, dtype=np.float64)
    if len(values) < 2:
        return float(values.mean()), 0.0
    error = float(values.std(ddof=1)) / np.sqrt(len(values))
    return float(values.mean()), float(
        special.stdtrit(len(values) - 1, (1 + confidence) / 2) * error
    )
