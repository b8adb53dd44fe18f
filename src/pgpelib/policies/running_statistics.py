"""Running mean and standard deviation of observations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

# An observation with a smaller variance counts as constant; without this floor, its
# noise would be amplified to unit variance.
VARIANCE_FLOOR = 1e-2


@dataclasses.dataclass
class RunningStat:
    """Count, sum and sum of squares of a stream of vectors.

    Sums are float64, because float32 sums stop growing after about 10^7 observations.
    Merging adds them up, so the order affects only their rounding; the trainer merges
    in solution order to rule out even that.

    Parameters
    ----------
    count
        Number of observations.
    sum, sumsq
        Shape (d,): sums of the observations and of their squares.
    """

    count: int
    sum: Vector
    sumsq: Vector

    @classmethod
    def empty(cls, size: int) -> RunningStat:
        """Create statistics without observations; `size` is their length, d."""
        return cls(0, np.zeros(size), np.zeros(size))

    @classmethod
    def of(cls, observations: npt.NDArray[np.floating]) -> RunningStat:
        """Create statistics of observations of shape (t, d)."""
        values = np.asarray(observations, dtype=np.float64)
        return cls(len(values), values.sum(axis=0), np.square(values).sum(axis=0))

    @classmethod
    def total(cls, parts: Sequence[RunningStat], size: int) -> RunningStat:
        """Return statistics of length `size`, merged in the order of `parts`."""
        stats = cls.empty(size)
        for part in parts:
            stats.merge(part)
        return stats

    @property
    def is_finite(self) -> bool:
        """Whether no observation was NaN, infinite or too large to be squared."""
        # Not element by element, for speed: this is called for each solution.
        return math.isfinite(float(self.sum.sum()) + float(self.sumsq.sum()))

    def merge(self, other: RunningStat) -> None:
        """Add the observations of `other` in place."""
        self.count += other.count
        self.sum = self.sum + other.sum
        self.sumsq = self.sumsq + other.sumsq

    @property
    def mean(self) -> Vector:
        """Mean, shape (d,); 0 before the first observation."""
        return self.sum / self.count if self.count else np.zeros_like(self.sum)

    @property
    def stdev(self) -> Vector:
        """Standard deviation, shape (d,), with a floor; 1 before any observation."""
        if not self.count:
            return np.ones_like(self.sum)
        variance = self.sumsq / self.count - np.square(self.mean)
        return np.sqrt(np.maximum(variance, VARIANCE_FLOOR))
