"""Formatting of returns, and confidence intervals of their means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def format_return(value: float) -> str:
    """Format a return with one decimal, or two if its magnitude is below 10."""
    decimals = 1 if abs(value) >= 10 else 2
    # Adding 0.0: a small loss is 0.00, not -0.00.
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def format_interval(mean: float, margin: float) -> str:
    """Format a mean return and half the width of its confidence interval."""
    return f"{format_return(mean)} ± {format_return(margin)}"


def mean_interval(
    returns: Sequence[float], confidence: float = 0.95
) -> tuple[float, float]:
    """Return the mean and half the width of its confidence interval (Student's t).

    A single return has no spread: its interval has width 0.
    """
    values = np.asarray(returns, dtype=np.float64)
    if len(values) < 2:
        return float(values.mean()), 0.0
    margin = student_margin(float(values.std(ddof=1)), len(values), confidence)
    return float(values.mean()), float(margin)


def student_margin(stdev: Any, count: int, confidence: float) -> Any:
    """Return half the width of the confidence interval of a mean (Student's t).

    Parameters
    ----------
    stdev
        Sample standard deviation, a number or an array or a Series of them.
    count
        Numbers that each mean is of; one is taken for two with that deviation.
    confidence
        Between 0 and 1.
    """
    quantile = _student_quantile(max(count - 1, 1), (1 + confidence) / 2)
    return quantile * (stdev / np.sqrt(max(count, 1)))


def welch_margin(a: Sequence[float], b: Sequence[float], confidence: float) -> float:
    """Return half the width of the interval of a difference of means (Welch's t).

    0 if there is no spread, or a sample of one number, which has none.
    """
    if min(len(a), len(b)) < 2:
        return 0.0
    shares = [np.var(sample, ddof=1) / len(sample) for sample in (a, b)]
    variance = sum(shares)
    if variance == 0.0:
        return 0.0
    freedom = variance**2 / (
        shares[0] ** 2 / (len(a) - 1) + shares[1] ** 2 / (len(b) - 1)
    )
    quantile = _student_quantile(float(freedom), (1 + confidence) / 2)
    return float(quantile * np.sqrt(variance))


def _student_quantile(freedom: float, probability: float) -> float:
    # On demand, because playing agents does without SciPy; and the whole of
    # scipy.stats takes a second to import.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))
