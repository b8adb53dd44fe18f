"""Optimizers that turn a gradient estimate into a step of the center."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]


class Optimizer(Protocol):
    """A stateful method of gradient ascent."""

    def ascent(self, gradient: Vector, scale: float = 1.0) -> Vector:
        """Return the step to add to the center, shape (n,), and update the state.

        Parameters
        ----------
        gradient
            Gradient of the expected fitness, shape (n,).
        scale
            Factor for the step size, and for the bound on the speed, of this step.
        """

    def state(self) -> dict[str, Vector]:
        """Return the state as arrays, for a checkpoint."""

    def load_state(self, state: dict[str, Vector]) -> None:
        """Restore what `state` returned."""


class ClipUp:
    """ClipUp (arXiv 2008.02387, algorithm 1): normalise, add momentum, clip the speed.

    Parameters
    ----------
    solution_length
        Number of parameters, n.
    step_size
        Length of each step before momentum is added.
    max_speed
        Maximum length of the velocity, and thus of each update.
    momentum
        Fraction of the velocity that is kept, in [0, 1).
    """

    def __init__(
        self,
        solution_length: int,
        step_size: float,
        max_speed: float = 0.15,
        momentum: float = 0.9,
    ) -> None:
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"momentum must be in [0, 1), not {momentum}")
        if max_speed <= 0.0 or step_size <= 0.0:
            raise ValueError("step_size and max_speed must be positive")
        self.step_size = step_size
        self.max_speed = max_speed
        self.momentum = momentum
        self.velocity: Vector = np.zeros(solution_length)

    def ascent(self, gradient: Vector, scale: float = 1.0) -> Vector:
        """Return the new velocity, shape (n,).

        Its length is at most `scale * max_speed`. With a zero gradient, the velocity
        only decays.
        """
        max_speed = scale * self.max_speed
        length = float(np.linalg.norm(gradient))
        velocity = self.momentum * self.velocity
        if length > 0.0:
            velocity += gradient * (scale * self.step_size / length)
        speed = float(np.linalg.norm(velocity))
        if speed > max_speed:
            velocity *= max_speed / speed
        self.velocity = velocity
        return velocity.copy()

    def state(self) -> dict[str, Vector]:
        """Return the velocity."""
        return {"velocity": self.velocity}

    def load_state(self, state: dict[str, Vector]) -> None:
        """Restore the velocity."""
        self.velocity = np.array(state["velocity"], dtype=np.float64)


class Adam:
    """Adam (Kingma and Ba, arXiv 1412.6980, algorithm 1), for gradient ascent.

    Parameters
    ----------
    solution_length
        Number of parameters, n.
    step_size
        Step size (alpha).
    beta1, beta2
        Decay rates of the moment estimates.
    epsilon
        Added to the square root of the second moment.
    """

    def __init__(
        self,
        solution_length: int,
        step_size: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.step_size = step_size
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.step_count = 0
        self.first_moment: Vector = np.zeros(solution_length)
        self.second_moment: Vector = np.zeros(solution_length)

    def ascent(self, gradient: Vector, scale: float = 1.0) -> Vector:
        """Return the step, shape (n,), with a step size of `scale * step_size`."""
        self.step_count += 1
        self.first_moment = self.beta1 * self.first_moment + (1 - self.beta1) * gradient
        self.second_moment = (
            self.beta2 * self.second_moment + (1 - self.beta2) * gradient**2
        )
        first = self.first_moment / (1 - self.beta1**self.step_count)
        second = self.second_moment / (1 - self.beta2**self.step_count)
        return scale * self.step_size * first / (np.sqrt(second) + self.epsilon)

    def state(self) -> dict[str, Vector]:
        """Return the moments and the step count."""
        return {
            "first_moment": self.first_moment,
            "second_moment": self.second_moment,
            "step_count": np.array(self.step_count, dtype=np.float64),
        }

    def load_state(self, state: dict[str, Vector]) -> None:
        """Restore the moments and the step count."""
        self.first_moment = np.array(state["first_moment"], dtype=np.float64)
        self.second_moment = np.array(state["second_moment"], dtype=np.float64)
        self.step_count = int(state["step_count"])


OPTIMIZERS: dict[str, type[ClipUp] | type[Adam]] = {"clipup": ClipUp, "adam": Adam}
