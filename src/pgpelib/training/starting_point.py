"""Where the search for a policy starts, if it starts from a saved policy."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pgpelib.policies.growth import can_grow, with_memory
from pgpelib.policies.policy import Architecture, SavedPolicy
from pgpelib.policies.running_statistics import RunningStat
from pgpelib.policies.saving import load_saved

# Weight of a saved policy's statistics, in observations: enough that those of the first
# generations do not change what the policy does.
_OBSERVATIONS = 1_000_000


@dataclasses.dataclass(frozen=True)
class StartingPoint:
    """The first center of a search, and the statistics that go with it.

    Parameters
    ----------
    center
        Shape (n,), float64.
    obs_stats
        Statistics of observations; empty for a policy without normalisation.
    """

    center: npt.NDArray[np.float64]
    obs_stats: RunningStat


def read_starting_point(
    path: Path, architecture: Architecture, obs_norm: bool, rng: np.random.Generator
) -> StartingPoint:
    """Return a saved policy's weights and statistics.

    A policy without an LSTM can start one with an LSTM, see `growth.with_memory`.

    Parameters
    ----------
    path
        The policy file.
    architecture
        The network to train.
    obs_norm
        Whether it is trained with normalised observations.
    rng
        Draws the weights of what is added to the saved policy, if anything is.

    Raises
    ------
    ValueError
        If the file is not a policy, or one with another network or `obs_norm`; the
        message names the file.
    """
    policy = load_saved(path)
    layers = policy.layers
    if can_grow(policy.architecture, architecture):
        layers = with_memory(layers, architecture.lstm_size, rng)
    else:
        _require_room(policy.architecture, architecture, path)
        _require_same(policy.architecture, architecture, path)
    if (policy.obs_mean is not None) != obs_norm:
        raise ValueError(
            f"init_policy: {path} was trained {'without' if obs_norm else 'with'} "
            f"obs_norm; set obs_norm to {'false' if obs_norm else 'true'}"
        )
    return StartingPoint(architecture.parameters(layers), _statistics(policy))


def _require_room(saved: Architecture, trained: Architecture, path: Path) -> None:
    """Refuse an LSTM that is too small to be added."""
    units = saved.hidden[-1] if saved.hidden else 0
    if not saved.lstm_size and 0 < trained.lstm_size <= units:
        raise ValueError(
            f"init_policy: {path} has a last layer of {units}; set lstm_size to more "
            f"than {units}, not {trained.lstm_size}, to add an LSTM"
        )


def _require_same(saved: Architecture, trained: Architecture, path: Path) -> None:
    expected = dataclasses.asdict(trained)
    for name, value in dataclasses.asdict(saved).items():
        if value != expected[name]:
            raise ValueError(
                f"init_policy: {path} has {name} {value}, not {expected[name]}"
            )


def _statistics(policy: SavedPolicy) -> RunningStat:
    mean, stdev = policy.obs_mean, policy.obs_stdev
    if mean is None or stdev is None:
        return RunningStat.empty(policy.observation_size)
    squares = np.square(stdev) + np.square(mean)
    return RunningStat(_OBSERVATIONS, _OBSERVATIONS * mean, _OBSERVATIONS * squares)
