"""POSGGym's processors, between an environment and a network, as plain data."""

from __future__ import annotations

import dataclasses
from typing import Any

from posggym_es.utils.schema_check import refuse_mistakes

# The classes of posggym.agents.utils.processors that agents are registered with, and
# their arguments except the space. A test checks that POSGGym agrees.
PROCESSORS: dict[str, dict[str, Any]] = {
    "IdentityProcessor": {},
    "FlattenProcessor": {},
    "RescaleProcessor": {
        "min_val": {"type": "number"},
        "max_val": {"type": "number"},
        "clip": {"type": "boolean"},
    },
}
# Range of the observations and actions of trained networks.
RESCALE_CONFIG: dict[str, Any] = {"min_val": -1.0, "max_val": 1.0, "clip": True}
PROCESSOR_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {"name": {"enum": list(PROCESSORS)}, "config": {"type": "object"}},
}


@dataclasses.dataclass(frozen=True)
class ProcessorSpec:
    """A processor of `posggym.agents.utils.processors`, by name and config.

    Parameters
    ----------
    name
        Class name: "IdentityProcessor", "FlattenProcessor" or "RescaleProcessor".
    config
        Keyword arguments of the class, except the space.

    Raises
    ------
    ValueError
        If the processor is unknown, or an argument is unknown or invalid.
    """

    name: str
    config: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_mistakes(dataclasses.asdict(self), PROCESSOR_SCHEMA)
        arguments = {
            "additionalProperties": False,
            "properties": PROCESSORS[self.name],
        }
        try:
            refuse_mistakes(self.config, arguments)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        low, high = self.config.get("min_val", -1.0), self.config.get("max_val", 1.0)
        if not low < high:
            raise ValueError(
                f"{self.name}: min_val {low} must be less than max_val {high}"
            )

    @classmethod
    def from_json(cls, data: Any) -> ProcessorSpec:
        """Create a spec from data, the inverse of `dataclasses.asdict`.

        Raises
        ------
        ValueError
            If the data do not describe a processor.
        """
        refuse_mistakes(data, PROCESSOR_SCHEMA)
        return cls(**data)
