"""Estimates of how long a run takes, and the formatting of durations."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

# Number of recent generations that determine the pace.
RECENT = 10


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Estimated duration of a run, from a short calibration.

    Starting workers and compiling kernels are left out.

    Parameters
    ----------
    steps_per_second
        Simulator steps per second of all workers together, with the initial population.
    steps_per_generation
        Simulator steps per generation. Without `num_interactions` this is a lower
        bound, because episodes often get longer as policies improve.
    seconds
        Time for all remaining generations.
    """

    steps_per_second: float
    steps_per_generation: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"about {format_duration(self.seconds)} at the current episode length "
            f"({self.steps_per_second:,.0f} steps/s, "
            f"{self.steps_per_generation:,.0f} steps per generation)"
        )


def seconds_left(times: Sequence[float], generations: int) -> float | None:
    """Estimate the duration of the remaining generations from the recent ones.

    Parameters
    ----------
    times
        When generations were complete, in seconds, one after the other. The first
        number may be when the first generation began.
    generations
        Number of remaining generations.

    Returns
    -------
    float or None
        Seconds; None without a complete generation between two of the times.
    """
    recent = times[-RECENT - 1 :]
    if len(recent) < 2:
        return None
    return generations * (recent[-1] - recent[0]) / (len(recent) - 1)


def format_duration(seconds: float) -> str:
    """Format a duration, as in "40 s", "12 min", "3.5 h" or "4.2 days"."""
    for unit, size, below in (("s", 1, 120), ("min", 60, 120), ("h", 3600, 48)):
        if seconds < below * size:
            digits = 1 if unit == "h" else 0
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds / 86400:.1f} days"
