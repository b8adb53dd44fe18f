"""Settings of POSGGym's processors."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator
from typing_extensions import Self

from pgpelib.utils.settings import FieldError, Settings
from posggym_es.models.processors import ProcessorSpec


class _Processor(Settings):
    name: str
    config: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the class besides the space."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        try:
            self.spec()
        except ValueError as error:
            raise FieldError("config", f"does not fit {error}") from error
        return self

    def spec(self) -> ProcessorSpec:
        """Return the processor."""
        return ProcessorSpec(self.name, self.config)


class ActionProcessorSettings(_Processor):
    """A processor of actions."""

    name: Literal["IdentityProcessor", "RescaleProcessor"]
    """Class of `posggym.agents.utils.processors`."""


class ObsProcessorSettings(_Processor):
    """A processor of observations."""

    name: Literal["IdentityProcessor", "FlattenProcessor", "RescaleProcessor"]
    """Class of `posggym.agents.utils.processors`."""
