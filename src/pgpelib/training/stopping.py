"""Deciding from re-evaluations whether a search continues, restarts or stops."""

from __future__ import annotations

import enum

import numpy as np


class Verdict(enum.Enum):
    """What to do after a re-evaluation."""

    CONTINUE = enum.auto()
    RESTART = enum.auto()
    STOP = enum.auto()


class StoppingRule:
    """Judges the re-evaluations of a run, one after the other.

    Its state follows from the means judged so far. A resumed run restores it by judging
    the means in `metrics.csv` again.

    Parameters
    ----------
    target
        Mean return at which the run stops; None for no target.
    patience
        Number of consecutive re-evaluations without an improvement over the search's
        best one after which the search is given up; None for never.
    restarts
        How many times a new search starts after one was given up; the run stops when
        the last one is given up.
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
        """Return whether a mean return reaches the target."""
        return self._target is not None and mean >= self._target

    def judge(self, mean: float) -> Verdict:
        """Judge the mean return of the next re-evaluation.

        NaN never counts as an improvement.
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
