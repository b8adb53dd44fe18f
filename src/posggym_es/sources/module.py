"""State dicts of any `nn.Module`, whose layers the user names."""

from __future__ import annotations

from pathlib import Path

from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.policies.foreign import GAUSSIAN
from posggym_es.policies.steps import Step
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.building import foreign_policy, metadata_of
from posggym_es.sources.checkpoint_source import CheckpointSource, named_errors
from posggym_es.sources.modules import (
    Weights,
    is_lstm,
    linear,
    lstms,
    with_log_stdev,
    without_last_activation,
)
from posggym_es.sources.settings import AgentSettings, names_layers, settings_for
from posggym_es.sources.torch_content import named_weights, torch_content


class ModuleStates(CheckpointSource):
    """State dicts written by `torch.save(module.state_dict(), file)`."""

    name = "module"
    patterns = ("*.pt", "*.pth", "*.bin")

    def recognises_file(self, path: Path) -> bool:
        """Return whether a file beside it names the layers, or its own name says so."""
        return path.suffix in (".pth", ".bin") or names_layers(path)

    def read(self, path: Path, settings: AgentSettings) -> ConvertiblePolicy:
        """Read a state dict; see `CheckpointSource`."""
        settings = settings_for(path, settings)
        for key in ("layers", "outputs"):
            if getattr(settings, key) is None:
                raise ExtractionError(
                    f"{path}: missing required key {key!r} of the agent: the file does "
                    "not say which of its weights are the policy"
                )
        with named_errors(path, "a state dict"):
            weights = named_weights(torch_content(path))
            steps = _layers(weights, settings)
        outputs, metadata = settings.outputs, metadata_of("PyTorch", path)
        assert outputs is not None
        return foreign_policy(path, steps, outputs, settings, metadata)


def _layers(weights: Weights, settings: AgentSettings) -> list[Step]:
    steps: list[Step] = []
    usual = settings.activation or "tanh"
    names = settings.layers or ()
    for text in names:
        name, _, activation = text.partition(" ")
        if is_lstm(weights, name):
            steps += lstms(weights, name)
        else:
            steps.append(linear(weights, name, activation or usual))
    if " " not in names[-1]:
        steps = without_last_activation(steps)
    if settings.outputs == GAUSSIAN and settings.log_std is not None:
        if settings.log_std not in weights:
            raise ValueError(f"the weights have no {settings.log_std} (log_std)")
        steps = with_log_stdev(steps, weights[settings.log_std])
    return steps
