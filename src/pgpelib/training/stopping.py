"""What follows from re-evaluations: whether a search continues, restarts or ends."""

from __future__ import annotations

import enum

import numpy as np


class Verdict(enum.Enum):
    """What follows from a re-evaluation."""

    CONTINUE = enum.auto()
    RESTART = enum.auto()
    STOP = enum.auto()


class StoppingRule:
    """Judges the re-evaluations of a run, in their order.

    What it remembers follows from the means that it was told, so a run that resumes
    tells it those of `metrics.csv`.

    Parameters
    ----------
    target
        Mean return that ends the run; None for none.
    patience
        Number of re-evaluations in a row, none better than the best one of the search,
        after which the search is given up; None for never.
    restarts
        How many times a search that was given up is followed by another one. The run
        ends with the last one.
    """

    def __init__(
        self,
        target: float | None = None,
        patience: int | None = None,
        restarts: int = 0,
    ) -> None:
        self._target = target
        self._patience = patience
        self._restarts_left = restarts
        self._best = -np.inf
        self._not_better = 0
        self.stopped = False

    def reached(self, mean: float) -> bool:
        """Return whether a mean return ends the run."""
        return self._target is not None and mean >= self._target

    def judge(self, mean: float) -> Verdict:
        """Take the mean return of a re-evaluation and return what follows.

        NaN is never an improvement.
        """
        if mean > self._best:
            self._best, self._not_better = mean, 0
        else:
            self._not_better += 1
        given_up = self._patience is not None and self._not_better >= self._patience
        if self.reached(mean) or (given_up and not self._restarts_left):
            self.stopped = True
            return Verdict.STOP
        if not given_up:
            return Verdict.CONTINUE
        self._restarts_left -= 1
        self._best, self._not_better = -np.inf, 0
        return Verdict.RESTART
