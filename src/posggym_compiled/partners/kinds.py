"""The kinds of partners, and what kernels need to know of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from posggym_compiled.interface import Integers, UnsupportedError, generic, implements
from posggym_compiled.networks import ACTIVATIONS, Architecture, Vector

# Takes the action of the largest output, or the outputs themselves; samples; draws from
# all actions; follows rules that are written for its environment.
GREEDY, SAMPLED, UNIFORM, HEURISTIC = range(4)
# Integers that a heuristic can remember in an episode.
MEMORY = 8


@dataclasses.dataclass(frozen=True, eq=False)
class Opponent:
    """A network that takes the best action, as the learner's does.

    Parameters
    ----------
    architecture
        Its layers.
    parameters
        Shape (num_parameters,), with the observation normalisation folded in.
    """

    architecture: Architecture
    parameters: Vector


@dataclasses.dataclass(frozen=True, eq=False)
class SampledNetwork:
    """A network that gives a distribution, such as POSGGym's `PPOPolicy`.

    POSGGym's policies compute in float32, and so does this where it is told to. The
    outputs differ by how sums are rounded: by less than 5e-6 times the largest absolute
    output or 1, whichever is larger, for POSGGym's own policies.
    Draws are those of POSGGym's policy after `reset` with the seed of `policy_seed`,
    so actions differ only where a draw falls within such a difference.

    Parameters
    ----------
    architecture
        Its layers. The outputs are the logits of discrete actions, or for a Box the
        means and then the logarithms of the standard deviations.
    parameters
        Shape (num_parameters,).
    single
        Whether it computes in float32 rather than float64.
    """

    architecture: Architecture
    parameters: Vector
    single: bool = False

    @classmethod
    def of_weights(
        cls,
        weights: Mapping[str, npt.NDArray[np.floating]],
        *,
        trunk_sizes: Sequence[int],
        lstm_size: int,
        lstm_layers: int,
        head_sizes: Sequence[int],
        activation: str,
    ) -> SampledNetwork:
        """Return the network of a POSGGym policy file.

        Parameters
        ----------
        weights
            Arrays by PyTorch's names: `trunk.0.weight`, `lstm.weight_ih_l0`,
            `actor.0.bias`, ... The critic's are not needed.
        trunk_sizes, lstm_size, lstm_layers, head_sizes, activation
            Fields of `PPOTorchModelSaveFileFormat`.

        Raises
        ------
        UnsupportedError
            If the LSTM has several layers, or there is another activation.
        """
        if lstm_layers != 1:
            raise UnsupportedError(f"an LSTM of {lstm_layers} layers is not compiled")
        if activation not in ACTIVATIONS:
            raise UnsupportedError(f"activation {activation!r} is not compiled")

        def linear(name: str) -> list[npt.NDArray[Any]]:
            return [weights[f"{name}.weight"].ravel(), weights[f"{name}.bias"]]

        # Activations have numbers, too.
        parts = [a for k in range(len(trunk_sizes)) for a in linear(f"trunk.{2 * k}")]
        first = weights["trunk.0.weight" if trunk_sizes else "lstm.weight_ih_l0"]
        parts += [weights[f"lstm.weight_{kind}_l0"].ravel() for kind in ("ih", "hh")]
        biases = [weights[f"lstm.bias_{kind}_l0"] for kind in ("ih", "hh")]
        parts.append(np.sum(biases, axis=0, dtype=np.float64))
        for k in range(len(head_sizes) + 1):
            parts += linear(f"actor.{2 * k}")
        architecture = Architecture(
            observation_size=first.shape[1],
            output_size=len(parts[-1]),
            hidden=tuple(trunk_sizes),
            activation=activation,
            lstm_size=lstm_size,
            head=tuple(head_sizes),
        )
        parameters = np.concatenate(parts).astype(np.float64)
        return cls(architecture, parameters, single=True)


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Draws from all actions with equal probabilities, as POSGGym's `RandomPolicy`.

    Its draws are those of POSGGym's policy after `reset`.
    """


@dataclasses.dataclass(frozen=True)
class Heuristic:
    """Rules that POSGGym has for an environment.

    Its draws are those of POSGGym's policy after `reset`.

    Parameters
    ----------
    number
        Which of the environment's rules, e.g. 3 for H3.
    setting
        A number that the rules depend on, e.g. the aggressiveness of a driver.
    """

    number: int
    setting: float = 0.0


Partner = Opponent | SampledNetwork | Uniform | Heuristic


class NoTables(NamedTuple):
    """In the place of a world's tables where nobody needs them."""

    unused: int = 0


class Roster(NamedTuple):
    """Players by their numbers, for kernels; the learner is number 0.

    Parameters
    ----------
    kinds
        Shape (players,): one of the kinds above.
    networks
        Shape (players,): number of the player's network among those of its dtype; 0
        where it has none.
    singles
        Shape (players,): whether its network computes in float32.
    numbers, settings
        Shape (players,): see `Heuristic`.
    tables
        What the heuristics of the world look up, a NamedTuple.
    """

    kinds: Integers
    networks: Integers
    singles: npt.NDArray[np.bool_]
    numbers: Integers
    settings: Vector
    tables: Any


def make_roster(
    partners: Sequence[Partner], tables: Any, stochastic: bool = False
) -> Roster:
    """Return the roster of the learner, which may be stochastic, and its partners."""
    kind_of = {Opponent: GREEDY, SampledNetwork: SAMPLED, Uniform: UNIFORM}
    learner = SAMPLED if stochastic else GREEDY
    kinds = [learner, *(kind_of.get(type(each), HEURISTIC) for each in partners)]
    has_network = np.isin(kinds, [GREEDY, SAMPLED])
    singles = np.array([False, *(is_single(each) for each in partners)])
    # They have the order of the players.
    networks = np.where(singles, np.cumsum(singles), np.cumsum(has_network & ~singles))
    heuristics = [
        each if isinstance(each, Heuristic) else Heuristic(0) for each in partners
    ]
    return Roster(
        np.array(kinds, np.int64),
        np.where(has_network, networks - 1, 0),
        singles,
        np.array([0, *(each.number for each in heuristics)], np.int64),
        np.array([0.0, *(each.setting for each in heuristics)]),
        tables,
    )


def is_single(partner: Partner) -> bool:
    """Return whether a partner is a network that computes in float32."""
    return isinstance(partner, SampledNetwork) and partner.single


def networks_of(
    partners: Sequence[Partner], *, single: bool
) -> list[Opponent | SampledNetwork]:
    """Return the partners that are networks of a dtype, in their order."""
    return [
        each
        for each in partners
        if isinstance(each, Opponent | SampledNetwork) and is_single(each) == single
    ]


@generic
def choose(
    tables: Any,
    number: int,
    setting: float,
    agent: int,
    x: Any,
    memory: Integers,
    rng: Any,
) -> int:
    """Return the action of a heuristic.

    Parameters
    ----------
    tables
        What `tables_for` returned.
    number, setting
        See `Heuristic`.
    agent
        Number of the agent that it plays.
    x
        What `interface.observe` wrote for the agent.
    memory
        int64 (8,): zeros in the first step; the heuristic's own afterwards.
    rng
        uint32 (625,): a generator of `random.python_random`, seeded for the episode.
    """
    raise NotImplementedError("compiled code only")


@implements(choose, NoTables, lean=True)
def _choose_none(
    tables: NoTables,
    number: int,
    setting: float,
    agent: int,
    x: Any,
    memory: Integers,
    rng: Any,
) -> int:
    return 0
