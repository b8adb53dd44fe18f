"""Fitness shaping: centered ranks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def centered_ranks(fitnesses: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Replace fitnesses by their ranks, scaled to [-0.5, 0.5].

    The best solution gets 0.5 and the worst -0.5. Equal fitnesses share their mean
    rank, so a population of equal fitness, as sparse rewards often give, has a zero
    gradient. NaN and infinite fitnesses rank below all finite ones.

    Source: Salimans et al. 2017 (arXiv 1703.03864), section 2.1, as used with ClipUp
    (arXiv 2008.02387).

    Parameters
    ----------
    fitnesses
        Shape (n,), higher is better.

    Returns
    -------
    numpy.ndarray
        Shape (n,), float64, in [-0.5, 0.5] with mean 0.
    """
    values = np.asarray(fitnesses, dtype=np.float64)
    if values.ndim != 1:
        raise ValueError(f"fitnesses must be a vector, not of shape {values.shape}")
    if len(values) < 2:
        return np.zeros_like(values)
    values = np.where(np.isfinite(values), values, -np.inf)
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(sizes)
    mean_ranks = ends - (sizes + 1) / 2
    return mean_ranks[group] / (len(values) - 1) - 0.5
