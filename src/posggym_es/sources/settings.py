"""What users say about a checkpoint, because its file does not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from pgpelib.foreign.config_text import read_config_file
from pgpelib.utils.settings import (
    AS_TUPLE,
    Number,
    PositiveNumber,
    Settings,
    SettingsError,
    Text,
)
from posggym_es.models.processor_settings import (
    ActionProcessorSettings,
    ObsProcessorSettings,
)
from posggym_es.sources.base import ExtractionError

# How users call the sources in `posggym_es.sources.registry`.
SourceName = Literal[
    "extracted",
    "sb3",
    "cleanrl",
    "evotorch",
    "rllib",
    "module",
    "posggym_baselines",
    "pgpelib",
]
# The file of these settings, for all checkpoints in its folder.
AGENT_FILE = "agent.yaml"


class AgentSettings(Settings):
    """What a checkpoint's file does not say about its agent.

    A file `<name>.yaml` or `agent.yaml` beside the checkpoint may have them, too.
    """

    env_name: Text | None = None
    """Training environment: a Gymnasium id, or `posggym:` and a POSGGym id. Required
    where the file does not say it."""
    env_config: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of the environment."""
    deterministic: bool | None = None
    """Whether the agent always takes the most likely action; by default, policies of
    PPO and its like remain stochastic."""
    activation: Literal["tanh", "relu"] | None = None
    """Activation of the hidden layers, where the file does not say it; by default that
    of the library's own script."""
    obs_processor: ObsProcessorSettings | None = None
    """POSGGym's processor that gives the observations that the agent was trained with;
    by default `IdentityProcessor` for a one-dimensional Box and `FlattenProcessor` for
    other spaces."""
    action_processor: ActionProcessorSettings | None = None
    """POSGGym's processor that does to actions what a wrapper did in training; by
    default, they were those of the environment."""
    obs_mean: Annotated[tuple[Number, ...], Field(min_length=1), AS_TUPLE] | None = None
    """Means that were subtracted from observations, if they were normalised."""
    obs_stdev: Annotated[tuple[Number, ...], Field(min_length=1), AS_TUPLE] | None = (
        None
    )
    """Standard deviations that observations were then divided by."""
    obs_clip: PositiveNumber | None = None
    """Largest magnitude of normalised observations; larger ones were clipped."""
    vec_normalize: Text | None = None
    """File of Stable-Baselines3's `VecNormalize`; by default `vecnormalize.pkl` or
    `<name>_vecnormalize.pkl` beside the checkpoint."""
    layers: Annotated[tuple[Text, ...], Field(min_length=1), AS_TUPLE] | None = None
    """For `source: module`: names of the layers in order, whose weights are
    `<layer>.weight` and `<layer>.bias`, or those of an LSTM. Another activation than
    `activation` follows the name: `pi.0 relu`, `encoder none`."""
    outputs: (
        Literal["argmax", "categorical", "clipped", "squashed", "gaussian"] | None
    ) = None
    """For `source: module`: how outputs become actions: `argmax` (of Q-values or
    logits), `categorical` (chance with these logits), `clipped` to the bounds,
    `squashed` (tanh, scaled to the bounds) or `gaussian` (means, with `log_std`)."""
    log_std: Text | None = None
    """For `source: module`: name of the log standard deviations; by default, they are
    the second half of the outputs."""

    def merged(self, other: AgentSettings) -> AgentSettings:
        """Return these settings, replaced by those that the other ones give."""
        return AgentSettings.from_dict(self.given() | other.given())


def settings_for(path: Path, given: AgentSettings) -> AgentSettings:
    """Return the settings of a checkpoint: those in files beside it, then given ones.

    Parameters
    ----------
    path
        The checkpoint, or its folder.
    given
        Settings from the config or the command line.

    Raises
    ------
    ExtractionError
        If a file beside the checkpoint is not valid; the message names it.
    """
    settings = AgentSettings()
    for file in settings_files(path):
        try:
            found = AgentSettings.from_dict(read_config_file(file))
        except SettingsError as error:
            raise ExtractionError(f"{file}: {error}") from error
        except ValueError as error:
            raise ExtractionError(str(error)) from error
        settings = settings.merged(found)
    return settings.merged(given)


def settings_files(path: Path) -> list[Path]:
    """Return the files with settings of a checkpoint or folder, as far as they exist.

    Later ones override earlier ones.
    """
    folder = path if path.is_dir() else path.parent
    files = [folder / AGENT_FILE]
    if path.is_file():
        files.append(path.with_suffix(".yaml"))
    return [file for file in files if file.is_file()]


def names_layers(path: Path) -> bool:
    """Return whether a file beside a checkpoint names the layers of a module.

    Raises
    ------
    ExtractionError
        If that file is not valid.
    """
    return settings_for(path, AgentSettings()).layers is not None
