"""Measures computed from the payoffs of a population: regret and diversity."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


@dataclasses.dataclass(frozen=True)
class Variant:
    """An environment with all its arguments.

    Parameters
    ----------
    env_id
        POSGGym id.
    env_args
        All arguments, including defaults.
    """

    env_id: str
    env_args: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the variant's results folder."""
        parts = [f"{key}={value}" for key, value in self.env_args.items()]
        return "-".join(parts).replace(" ", "").replace("/", "_") or "default"


def matrix(table: pd.DataFrame, value: str = "mean") -> pd.DataFrame:
    """Return a column of a payoff table as a matrix of row and column policies."""
    order = list(dict.fromkeys([*table.row, *table.column]))
    return table.pivot(index="row", columns="column", values=value).reindex(
        index=order, columns=order
    )


def regret(payoffs: pd.DataFrame) -> pd.DataFrame:
    """Return how much less each policy gets than the population's best response.

    Parameters
    ----------
    payoffs
        Matrix of mean returns.

    Returns
    -------
    DataFrame
        For each row and partner, the largest return of any policy with that partner
        minus the row's own return; 0 for the best response itself.
    """
    return payoffs.max(axis=0) - payoffs


@dataclasses.dataclass(frozen=True)
class Diversity:
    """How different the policies of a population are.

    Parameters
    ----------
    self_play, cross_play
        Mean return of the policies with themselves, and with each other; None if they
        cannot play like that.
    proportional_loss
        (self_play - cross_play) / |self_play|: the proportional loss of Lanctot et al.,
        2017 (section 4.1).
    expected_cardinality
        Expected size of a sample of a determinantal point process over the rows of
        the payoff matrix, trace(I - (L + I)^-1) with L = M M^T and rows of length 1:
        Perez Nieves et al., 2021 (equation 5). None if the matrix has gaps.
    """

    self_play: float | None
    cross_play: float | None
    proportional_loss: float | None
    expected_cardinality: float | None


def diversity(payoffs: pd.DataFrame) -> Diversity:
    """Return measures of the diversity of a population.

    Parameters
    ----------
    payoffs
        Matrix of mean returns, rows and columns in the same order.
    """
    values: npt.NDArray[np.float64] = payoffs.to_numpy(np.float64)
    diagonal = np.diag(values)
    others = values[~np.eye(len(values), dtype=bool)]
    alone, together = _mean(diagonal), _mean(others)
    loss = None
    if alone is not None and together is not None and alone != 0:
        loss = (alone - together) / abs(alone)
    cardinality = None
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if np.isfinite(values).all() and (lengths > 0).all():
        rows = values / lengths
        kernel = rows @ rows.T
        identity = np.eye(len(rows))
        cardinality = float(np.trace(identity - np.linalg.inv(kernel + identity)))
    return Diversity(alone, together, loss, cardinality)


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None
