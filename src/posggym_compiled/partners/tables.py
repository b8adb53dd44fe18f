"""The heuristics that POSGGym has for each environment, and what they look up."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

from posggym_compiled.interface import UnsupportedError, World
from posggym_compiled.partners.kinds import Heuristic, NoTables, Partner

# The module of each environment's heuristics. It has a `heuristic(entry_point, kwargs)`
# that returns one or None, and a `make_tables(world)`.
MODULES = {
    "CooperativeReaching-v0": "posggym_compiled.partners.grid.cooperative_reaching",
    "Driving-v1": "posggym_compiled.partners.grid.driving",
    "LevelBasedForaging-v3": "posggym_compiled.partners.grid.level_based_foraging",
    "PredatorPrey-v0": "posggym_compiled.partners.grid.predator_prey",
}


def heuristic_for(world: World, entry: Any, config: Mapping[str, Any]) -> Heuristic:
    """Return the compiled form of a policy class of POSGGym.

    Parameters
    ----------
    world
        The environment that it plays in.
    entry
        Entry point of the policy's spec.
    config
        The spec's keyword arguments.

    Raises
    ------
    UnsupportedError
        If there is none.
    """
    found = None
    if world.env_id in MODULES:
        found = importlib.import_module(MODULES[world.env_id]).heuristic(entry, config)
    if found is None:
        raise UnsupportedError("not compiled; use posggym's own policy")
    heuristic: Heuristic = found
    return heuristic


def tables_for(world: World, partners: Sequence[Partner]) -> Any:
    """Return the tables of a world if there are heuristics among partners.

    Returns
    -------
    NamedTuple
        `NoTables`, or what the module of the heuristics makes.

    Raises
    ------
    UnsupportedError
        If the world's heuristics are not compiled.
    """
    if not any(isinstance(partner, Heuristic) for partner in partners):
        return NoTables()
    if world.env_id not in MODULES:
        raise UnsupportedError(f"the heuristics of {world.env_id} are not compiled")
    return importlib.import_module(MODULES[world.env_id]).make_tables(world)
