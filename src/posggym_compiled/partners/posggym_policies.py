"""The compiled forms of the policies that POSGGym registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posggym_compiled.interface import Dense, Discrete, UnsupportedError, World
from posggym_compiled.partners.kinds import Partner, SampledNetwork, Uniform
from posggym_compiled.partners.tables import heuristic_for
from posggym_compiled.processing import HIGH, LOW

if TYPE_CHECKING:
    from posggym.agents.registration import PolicySpec

# Reads a policy file: the fields of `PPOTorchModelSaveFileFormat`.
ReadModel = Callable[[Path], Mapping[str, Any]]


def partner_for(world: World, spec: PolicySpec, read: ReadModel) -> Partner:
    """Return the compiled form of a policy.

    Parameters
    ----------
    world
        The environment that it plays in.
    spec
        What POSGGym's registry has of it.
    read
        Reads policy files. POSGGym's own way executes what a file says; this package
        leaves the choice to its caller.

    Raises
    ------
    UnsupportedError
        If it has none; the message names the policy and says why.
    """
    import posggym.agents as agents

    entry = spec.entry_point
    try:
        # Only networks have files. The entry points of those that are registered at run
        # time are not POSGGym's own.
        if "policy_file_path" in spec.kwargs:
            return _network(world, spec.kwargs, read)
        random = agents.random_policies
        if entry is random.RandomPolicy:
            return Uniform()
        if entry is random.DiscreteFixedDistributionPolicy:
            return _fixed_distribution(world, spec.kwargs)
        return heuristic_for(world, entry, spec.kwargs)
    except UnsupportedError as error:
        raise UnsupportedError(f"{spec.id}: {error}") from error


def _fixed_distribution(world: World, config: Mapping[str, Any]) -> Uniform:
    """Return POSGGym's policy of a given distribution if that is uniform."""
    if config.get("dist") is not None:
        raise UnsupportedError("its distribution is not compiled")
    if not isinstance(world.actions[0], Discrete):
        # Its actions have another dtype than the space, so other arithmetic follows.
        raise UnsupportedError("uniform actions in a Box are compiled as Random-v0")
    return Uniform()


def _network(
    world: World, config: Mapping[str, Any], read: ReadModel
) -> SampledNetwork:
    from posggym.agents.utils import processors

    discrete = isinstance(world.actions[0], Discrete)
    seen = world.observations[0]
    # POSGGym flattens what is not a one-dimensional Box, and leaves such Boxes alone.
    observed = config.get("obs_processor_cls")
    acted = config.get("action_processor_cls")
    if isinstance(seen, Dense) and seen.is_rescaled:
        fits = _rescales(observed, config.get("obs_processor_config"))
    else:
        fits = observed in (None, processors.FlattenProcessor)
    if discrete:
        fits = fits and acted in (None, processors.IdentityProcessor)
    else:
        fits = fits and _rescales(acted, config.get("action_processor_config"))
    if not fits:
        raise UnsupportedError("its processors are not those of compiled networks")
    fields = read(Path(config["policy_file_path"]))
    if fields["lstm_use_prev_action"] or fields["lstm_use_prev_reward"]:
        raise UnsupportedError("an LSTM that sees actions or rewards is not compiled")
    sizes = ("trunk_sizes", "lstm_size", "lstm_layers", "head_sizes", "activation")
    weights = {name: np.asarray(value) for name, value in fields["weights"].items()}
    return SampledNetwork.of_weights(weights, **{key: fields[key] for key in sizes})


def _rescales(processor: Any, config: Mapping[str, Any] | None) -> bool:
    """Return whether a processor is the one that kernels have for Boxes."""
    from posggym.agents.utils.processors import RescaleProcessor

    defaults = {"min_val": LOW, "max_val": HIGH, "clip": True}
    return processor is RescaleProcessor and {**defaults, **(config or {})} == defaults
