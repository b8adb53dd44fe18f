"""Policy gradients with parameter-based exploration (PGPE), with an ask/tell interface.

Sources: Sehnke et al. 2010 (PGPE, symmetric sampling); Toklu et al. 2020
(arXiv 2008.02387: ClipUp, ranking, stdev control, adaptive population).
"""

from __future__ import annotations

import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pgpelib.search.optimizers import OPTIMIZERS, Optimizer
from pgpelib.search.ranking import centered_ranks

Vector = npt.NDArray[np.float64]

# Streams of the counter-based generator, one per purpose, so that no two purposes share
# random numbers.
NOISE_STREAM = 0
EPISODE_STREAM = 1
RE_EVAL_STREAM = 2
INIT_STREAM = 3

# Number of pairs whose noise is in memory at a time while gradients are summed.
GRADIENT_CHUNK = 256


class _Reused(threading.local):
    """One generator per thread: creating one takes longer than setting its state."""

    def __init__(self) -> None:
        self.generator = np.random.Generator(np.random.Philox(0))


_reused = _Reused()


def random_stream(
    seed: int, stream: int, generation: int, index: int, learner: int = 0
) -> np.random.Generator:
    """Return the random generator of one solution or episode.

    Philox is counter-based: any worker can generate the numbers of solution `index`
    without generating those of other solutions. The returned generator is valid until
    the next call in the same thread, which resets the state of the same object.

    Parameters
    ----------
    seed
        Seed of the run, >= 0.
    stream
        Purpose of the numbers, one of the `*_STREAM` constants.
    generation, index
        Generation, and index of the solution or episode in it.
    learner
        Index of the search, in runs with several.
    """
    counter = np.array([0, index, generation, stream], np.uint64)
    key = np.array([seed, learner], np.uint64)
    _reused.generator.bit_generator.state = {
        "bit_generator": "Philox",
        "state": {"counter": counter, "key": key},
        # Discard buffered numbers.
        "buffer": np.zeros(4, np.uint64),
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    return _reused.generator


def episode_seed(
    seed: int, stream: int, generation: int, index: int, learner: int = 0
) -> int:
    """Return the environment seed of one episode, in [0, 2**31)."""
    return episode_seeds(seed, stream, generation, index, learner, 1)[0]


def episode_seeds(
    seed: int, stream: int, generation: int, index: int, learner: int, count: int
) -> list[int]:
    """Return environment seeds of `count` episodes, in [0, 2**31).

    A larger `count` appends seeds without changing the first ones. For the other
    parameters see `random_stream`.
    """
    stream_of_numbers = random_stream(seed, stream, generation, index, learner)
    return [int(number) for number in stream_of_numbers.integers(2**31, size=count)]


@dataclasses.dataclass(frozen=True)
class SearchDistribution:
    """A Gaussian with diagonal covariance, sampled in pairs around its center.

    Solution 2p is `center + stdev * noise(p)` and solution 2p+1 is
    `center - stdev * noise(p)`. Noise is generated from the seed, so a few kilobytes
    represent any number of solutions.

    Parameters
    ----------
    center, stdev
        Shape (n,), float64.
    seed
        Seed of the run.
    generation
        Number of updates that led to this distribution.
    learner
        Index of the search, in runs with several.
    """

    center: Vector
    stdev: Vector
    seed: int
    generation: int
    learner: int = 0

    def noise(self, pair: int) -> npt.NDArray[np.float32]:
        """Return the standard normal noise of a pair, shape (n,), float32."""
        generator = random_stream(
            self.seed, NOISE_STREAM, self.generation, pair, self.learner
        )
        return generator.standard_normal(len(self.center), dtype=np.float32)

    def pair(self, pair: int) -> tuple[Vector, Vector]:
        """Return both solutions of a pair, each of shape (n,), float64."""
        step = self.stdev * self.noise(pair)
        return self.center + step, self.center - step

    def gradients(self, fitnesses: Vector) -> tuple[Vector, Vector]:
        """Estimate the gradients of the expected fitness.

        For each pair with scaled noise e = stdev * noise and fitnesses f+ and f-:

        - center: mean of e * (f+ - f-) / 2
        - stdev: mean of ((f+ + f-) / 2 - baseline) * (e^2 - stdev^2) / stdev,
          with the mean fitness as baseline.

        Parameters
        ----------
        fitnesses
            Fitnesses of all solutions in order, shape (2 * pairs,).

        Returns
        -------
        tuple of numpy.ndarray
            Gradients of center and stdev, shape (n,) each.
        """
        plus, minus = fitnesses[0::2], fitnesses[1::2]
        difference = (plus - minus) / 2
        advantage = (plus + minus) / 2 - fitnesses.mean()
        center_sum = np.zeros_like(self.center)
        stdev_sum = np.zeros_like(self.center)
        pairs = len(difference)
        for start in range(0, pairs, GRADIENT_CHUNK):
            stop = min(start + GRADIENT_CHUNK, pairs)
            noise = np.stack([self.noise(pair) for pair in range(start, stop)])
            # einsum, because BLAS sums in an order that depends on its threads.
            center_sum += np.einsum("i,ij->j", difference[start:stop], noise)
            noise *= noise
            noise -= 1
            stdev_sum += np.einsum("i,ij->j", advantage[start:stop], noise)
        return self.stdev * center_sum / pairs, self.stdev * stdev_sum / pairs


class PGPE:
    """PGPE with symmetric sampling: `ask` for solutions, then `tell` their fitnesses.

    Parameters
    ----------
    solution_length
        Number of parameters, n.
    popsize
        Number of solutions per generation (even); with `num_interactions`, per batch.
    center_init
        Initial center, shape (n,) or a number; 0 by default.
    center_learning_rate
        Step size of the optimizer.
    stdev_init
        Initial standard deviation, shape (n,) or a number.
    stdev_learning_rate
        Learning rate of the standard deviations.
    stdev_max_change
        Largest relative change of a standard deviation in one update; None for no
        limit.
    solution_ranking
        Replace fitnesses by centered ranks.
    optimizer, optimizer_config
        "clipup" or "adam", and keyword arguments of its class other than the solution
        length and the step size.
    max_speed_decay
        Factor for the optimizer's step size and maximum speed, applied after each
        generation; in (0, 1].
    stdev_decay
        Factor for the standard deviations, applied after each update; in (0, 1].
    num_interactions
        Adaptive population: a generation is complete only after this many simulator
        steps. None for one batch per generation.
    popsize_max
        Adaptive population: a generation is complete with this many solutions, whatever
        the number of steps. None for no limit.
    seed
        Seed, >= 0, which determines all random numbers; drawn at random if None.
    learner
        Index of this search, if several share a seed; each gets its own noise.

    Raises
    ------
    ValueError
        If an argument is invalid.
    """

    def __init__(
        self,
        *,
        solution_length: int,
        popsize: int,
        center_init: npt.ArrayLike = 0.0,
        center_learning_rate: float = 0.15,
        stdev_init: npt.ArrayLike = 0.1,
        stdev_learning_rate: float = 0.1,
        stdev_max_change: float | None = 0.2,
        solution_ranking: bool = True,
        optimizer: str = "clipup",
        optimizer_config: dict[str, Any] | None = None,
        max_speed_decay: float = 1.0,
        stdev_decay: float = 1.0,
        num_interactions: int | None = None,
        popsize_max: int | None = None,
        seed: int | None = None,
        learner: int = 0,
    ) -> None:
        if popsize < 2 or popsize % 2:
            raise ValueError(f"popsize must be an even number >= 2, not {popsize}")
        if optimizer not in OPTIMIZERS:
            raise ValueError(
                f"unknown optimizer {optimizer!r}; choose one of "
                f"{', '.join(sorted(OPTIMIZERS))}"
            )
        self._center_init = _filled(center_init, solution_length, "center_init")
        self._stdev_init = _filled(stdev_init, solution_length, "stdev_init")
        if not (self._stdev_init > 0).all():
            raise ValueError("stdev_init must be positive")
        for decay in (max_speed_decay, stdev_decay):
            if not 0 < decay <= 1:
                raise ValueError(f"a decay must be in (0, 1], not {decay}")
        self.popsize = popsize
        self.popsize_max = popsize_max
        self.num_interactions = num_interactions
        self.stdev_learning_rate = stdev_learning_rate
        self.stdev_max_change = stdev_max_change
        self.solution_ranking = solution_ranking
        self.max_speed_decay = max_speed_decay
        self.stdev_decay = stdev_decay
        self._make_optimizer: Callable[[], Optimizer] = functools.partial(
            OPTIMIZERS[optimizer],
            solution_length,
            center_learning_rate,
            **(optimizer_config or {}),
        )
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.seed = seed
        self.learner = learner
        self.generation = 0
        self._fitnesses: list[Vector] = []
        self._interactions = 0
        self.restart()

    def restart(self, center_init: npt.ArrayLike | None = None) -> None:
        """Start a new search from the initial distribution.

        The generation number keeps counting, so the new search uses other random
        numbers.

        Parameters
        ----------
        center_init
            Initial center of the new search, shape (n,) or a number; None for that of
            the one before.
        """
        if center_init is not None:
            length = len(self._stdev_init)
            self._center_init = _filled(center_init, length, "center_init")
        self.center: Vector = self._center_init.copy()
        self.stdev: Vector = self._stdev_init.copy()
        self.optimizer = self._make_optimizer()
        self.first_generation = self.generation

    @property
    def distribution(self) -> SearchDistribution:
        """The current search distribution."""
        return SearchDistribution(
            self.center, self.stdev, self.seed, self.generation, self.learner
        )

    @property
    def num_asked(self) -> int:
        """Number of solutions in this generation whose fitness has been told."""
        return sum(len(batch) for batch in self._fitnesses)

    def ask(self) -> list[Vector]:
        """Return the next `popsize` solutions, each of shape (n,), float64."""
        distribution = self.distribution
        first = self.num_asked // 2
        return [
            solution
            for pair in range(first, first + self.popsize // 2)
            for solution in distribution.pair(pair)
        ]

    def tell(
        self, fitnesses: Sequence[float] | Vector, interactions: Any = None
    ) -> bool:
        """Report the fitnesses of the solutions that `ask` last returned.

        Parameters
        ----------
        fitnesses
            Shape (popsize,), higher is better. NaN and infinite values count as the
            worst.
        interactions
            Simulator steps of each solution, shape (popsize,); required with
            `num_interactions`.

        Returns
        -------
        bool
            True if the generation is complete and the distribution was updated; False
            if it needs more solutions: call `ask` again.
        """
        batch = np.array(fitnesses, dtype=np.float64)
        if batch.shape != (self.popsize,):
            raise ValueError(
                f"tell needs {self.popsize} fitnesses, not an array of {batch.shape}"
            )
        if self.num_interactions is not None and interactions is None:
            raise ValueError("tell needs interactions when num_interactions is set")
        self._fitnesses.append(batch)
        if self.num_interactions is not None:
            self._interactions += int(np.sum(interactions))
            full = self.popsize_max is not None and self.num_asked >= self.popsize_max
            if self._interactions < self.num_interactions and not full:
                return False
        self._update(np.concatenate(self._fitnesses))
        self._fitnesses = []
        self._interactions = 0
        self.generation += 1
        return True

    def _update(self, fitnesses: Vector) -> None:
        finite = np.isfinite(fitnesses)
        if self.solution_ranking:
            shaped = centered_ranks(fitnesses)
        elif finite.any():
            shaped = np.where(finite, fitnesses, fitnesses[finite].min())
        else:
            shaped = np.zeros_like(fitnesses)
        center_gradient, stdev_gradient = self.distribution.gradients(shaped)
        scale = self.max_speed_decay ** (self.generation - self.first_generation)
        self.center = self.center + self.optimizer.ascent(center_gradient, scale)
        target = self.stdev + self.stdev_learning_rate * stdev_gradient
        if self.stdev_max_change is not None:
            change = self.stdev_max_change * self.stdev
            target = np.clip(target, self.stdev - change, self.stdev + change)
        self.stdev = self.stdev_decay * target

    def state(self) -> dict[str, Vector]:
        """Return everything that the next generation depends on, as arrays."""
        if self._fitnesses:
            raise RuntimeError("state() can only be called between generations")
        return {
            "center": self.center,
            "stdev": self.stdev,
            "generation": np.array(self.generation, dtype=np.float64),
            **self._decay_state(),
            **{f"optimizer.{k}": v for k, v in self.optimizer.state().items()},
        }

    def _decay_state(self) -> dict[str, Vector]:
        if self.max_speed_decay == 1:
            # It has no effect, and states saved by earlier versions lack it.
            return {}
        first = np.array(self.first_generation, dtype=np.float64)
        return {"first_generation": first}

    def load_state(self, state: dict[str, Vector]) -> None:
        """Restore what `state` returned."""
        self.first_generation = int(state.get("first_generation", 0))
        self.center = np.array(state["center"], dtype=np.float64)
        self.stdev = np.array(state["stdev"], dtype=np.float64)
        self.generation = int(state["generation"])
        prefix = "optimizer."
        self.optimizer.load_state(
            {k.removeprefix(prefix): v for k, v in state.items() if prefix in k}
        )


def _filled(value: npt.ArrayLike, length: int, name: str) -> Vector:
    array = np.asarray(value, dtype=np.float64)
    if array.shape not in ((), (length,)):
        raise ValueError(f"{name} has shape {array.shape}, not ({length},)")
    return np.array(np.broadcast_to(array, (length,)))
