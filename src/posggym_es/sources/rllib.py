"""Checkpoints of RLlib: the RLModules of its current API, in folders.

The folder of a module has its state (`module_state.pkl`), and the class and arguments
that it was made with (`class_and_ctor_args.pkl`). Checkpoints of algorithms contain it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pgpelib.foreign.safe_pickle import (
    PLAIN_NAMES,
    ForeignFileError,
    Name,
    Names,
    Record,
    read_file,
    records,
    safe_load,
    short,
)
from posggym_es.models.processor_settings import ActionProcessorSettings
from posggym_es.models.processors import RESCALE_CONFIG
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.policies.foreign import ARGMAX, CATEGORICAL, GAUSSIAN, SQUASHED
from posggym_es.policies.steps import NO_ACTIVATION, Step, only_means
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.building import foreign_policy, metadata_of
from posggym_es.sources.checkpoint_source import CheckpointSource, named_errors
from posggym_es.sources.modules import (
    Weights,
    is_lstm,
    lstms,
    sequential,
    with_log_stdev,
    without_last_activation,
)
from posggym_es.sources.settings import (
    AgentSettings,
    settings_files,
    settings_for,
)
from posggym_es.sources.torch_content import SPACE_NAMES, named_weights

_STATE_FILE = "module_state.pkl"
_ARGUMENTS_FILE = "class_and_ctor_args.pkl"
# Folders of modules in that of a module, of all modules, of a learner and an algorithm.
_PLACES = ("", "*/", "rl_module/*/", "learner_group/learner/rl_module/*/")
# Every folder within a checkpoint has this file.
_METADATA_FILE = "metadata.json"
_CONFIG = "ray.rllib.core.rl_module.default_model_config.DefaultModelConfig"
_MODULES = "ray.rllib.algorithms"
# The algorithm of each class.
_CLASSES = {
    (
        f"{_MODULES}.ppo.torch.default_ppo_torch_rl_module",
        "DefaultPPOTorchRLModule",
    ): "PPO",
    (
        f"{_MODULES}.dqn.torch.default_dqn_torch_rl_module",
        "DefaultDQNTorchRLModule",
    ): "DQN",
    (
        f"{_MODULES}.sac.torch.default_sac_torch_rl_module",
        "DefaultSACTorchRLModule",
    ): "SAC",
}
_NAMES: Names = {
    **PLAIN_NAMES,
    **SPACE_NAMES,
    **records(_CONFIG),
    **dict.fromkeys(_CLASSES),
    (f"{_MODULES}.ppo.ppo_catalog", "PPOCatalog"): None,
    (f"{_MODULES}.dqn.dqn_catalog", "DQNCatalog"): None,
    (f"{_MODULES}.sac.sac_catalog", "SACCatalog"): None,
}
# Defaults of `DefaultModelConfig`.
_ACTIVATIONS = {"fcnet_activation": "tanh", "head_fcnet_activation": "relu"}


class RLlibModules(CheckpointSource):
    """Folders of RLModules, and of algorithms and learners that contain them."""

    name = "rllib"
    patterns = (_STATE_FILE,)

    def recognises_file(self, path: Path) -> bool:
        """Return whether a file has the name of a module's state."""
        return path.name == _STATE_FILE

    def policies(self, path: Path) -> dict[str, Path]:
        """Return the state of each module by the module's id; see `PolicySource`."""
        found = [path] if path.is_file() else list(self._files_in(path))
        if not found:
            raise ExtractionError(f"{path}: holds no RLModules ({_STATE_FILE})")
        return {file.absolute().parent.name: file for file in found}

    def beside(self, path: Path, settings: AgentSettings) -> list[Path]:
        """Return the arguments and the files with settings; see `PolicySource`."""
        found = [
            file for folder in _folders_of(path) for file in settings_files(folder)
        ]
        return [path.parent / _ARGUMENTS_FILE, *found]

    def read(self, path: Path, settings: AgentSettings) -> ConvertiblePolicy:
        """Read a module; see `CheckpointSource`."""
        settings = _settings_in(path, settings)
        with named_errors(path, "a module of RLlib"):
            saved = _read(path)
            steps, outputs_are = _network(saved)
        if outputs_are == GAUSSIAN and settings.action_processor is None:
            # RLlib's `normalize_actions`, which is on by default.
            rescaling = ActionProcessorSettings(
                name="RescaleProcessor",
                config=dict(RESCALE_CONFIG),
            )
            settings = AgentSettings(action_processor=rescaling).merged(settings)
        metadata = metadata_of(saved.algorithm, path.absolute().parent)
        return foreign_policy(path, steps, outputs_are, settings, metadata)

    def _files_in(self, folder: Path) -> Iterator[Path]:
        for place in _PLACES:
            yield from sorted(folder.glob(f"{place}{_STATE_FILE}"))


class _Saved(NamedTuple):
    """What a module's folder has."""

    algorithm: str
    config: Mapping[str, Any]
    is_discrete: bool
    weights: Weights


def _settings_in(path: Path, given: AgentSettings) -> AgentSettings:
    """Return the settings beside a module, or beside the checkpoint that it is in."""
    settings = given
    for folder in _folders_of(path):
        settings = settings_for(folder, settings)
    return settings


def _folders_of(path: Path) -> Iterator[Path]:
    """Yield the folder of a module, and those of the checkpoint that contain it."""
    folder = path.absolute().parent
    yield folder
    for parent in folder.parents:
        if not (parent / _METADATA_FILE).is_file():
            return
        yield parent


def _read(path: Path) -> _Saved:
    arguments = path.parent / _ARGUMENTS_FILE
    weights = safe_load(read_file(path), PLAIN_NAMES)
    try:
        named = named_weights(weights)
    except ValueError as error:
        raise ForeignFileError(str(error)) from error
    try:
        made = safe_load(read_file(arguments), _NAMES)
    except ForeignFileError as error:
        raise ForeignFileError(f"{arguments.name}: {error}") from error
    return _saved(made, named)


def _saved(made: Any, weights: Weights) -> _Saved:
    """Return what a module was made with, and its weights."""
    kind = made.get("class") if isinstance(made, dict) else None
    if not isinstance(kind, Name):
        raise ForeignFileError(f"{_ARGUMENTS_FILE} names no class")
    module, _, name = kind.name.rpartition(".")
    if (module, name) not in _CLASSES:
        raise ForeignFileError(f"{kind.name} is no default module of PPO, DQN or SAC")
    arguments = made.get("ctor_args_and_kwargs")
    if not isinstance(arguments, tuple) or len(arguments) != 2:
        raise ForeignFileError(f"{_ARGUMENTS_FILE} has no arguments")
    keywords = arguments[1]
    if not isinstance(keywords, dict):
        raise ForeignFileError(f"{_ARGUMENTS_FILE} has no arguments")
    config, actions = (keywords.get(key) for key in ("model_config", "action_space"))
    if isinstance(config, Record):
        config = config.fields
    if not isinstance(config, dict) or not isinstance(actions, Record):
        raise ForeignFileError(f"{_ARGUMENTS_FILE} has no model_config or action_space")
    space = actions.name.rpartition(".")[2]
    if space not in ("Discrete", "Box"):
        raise ForeignFileError(
            f"its actions are {space}; only Box and Discrete can be expressed"
        )
    return _Saved(_CLASSES[module, name], config, space == "Discrete", weights)


def _network(saved: _Saved) -> tuple[list[Step], str]:
    """Return the layers of the policy's network, and what its outputs are."""
    weights = saved.weights
    usual, head = (_activation(saved.config, key) for key in _ACTIVATIONS)
    if saved.algorithm == "DQN":
        if saved.config.get("num_atoms", 1) != 1:
            raise ValueError("it is a distributional DQN, which cannot be expressed")
        # The value of the state, in a dueling network, changes no argmax.
        steps = _encoder(weights, "encoder", usual)
        return [*steps, *_head(weights, "af", head)], ARGMAX
    if saved.algorithm == "SAC":
        steps = [*_encoder(weights, "pi_encoder", usual), *_head(weights, "pi", head)]
        if saved.is_discrete:
            return steps, CATEGORICAL
        return only_means(steps), SQUASHED
    shared = any(name.startswith("encoder.encoder.") for name in weights)
    steps = _encoder(
        weights, "encoder.encoder" if shared else "encoder.actor_encoder", usual
    )
    steps += _head(weights, "pi", head)
    if saved.is_discrete:
        return steps, CATEGORICAL
    if "pi.log_std" not in weights:
        return steps, GAUSSIAN
    limit = weights.get("pi.log_std_clip_param_const", np.float32(np.inf))
    return with_log_stdev(
        steps, np.clip(weights["pi.log_std"], -limit, limit)
    ), GAUSSIAN


def _encoder(weights: Weights, name: str, activation: str) -> list[Step]:
    """Return the layers of an encoder, all with activations; it may have an LSTM."""
    if is_lstm(weights, f"{name}.lstm"):
        tokenizer = sequential(weights, f"{name}.tokenizer.net.mlp", activation)
        return [*tokenizer, *lstms(weights, f"{name}.lstm")]
    steps = sequential(weights, f"{name}.net.mlp", activation)
    if not steps:
        raise ValueError(
            f"the weights have no {name}.net.mlp; only encoders of linear layers, with "
            "an LSTM or without, can be expressed"
        )
    return steps


def _head(weights: Weights, name: str, activation: str) -> list[Step]:
    return without_last_activation(sequential(weights, f"{name}.net.mlp", activation))


def _activation(config: Mapping[str, Any], key: str) -> str:
    found = config.get(key, _ACTIVATIONS[key])
    name = found.lower() if isinstance(found, str) else None
    if name not in ("tanh", "relu", "linear"):
        raise ValueError(
            f"{key} is {short(found)}; only tanh, relu and linear can be expressed"
        )
    return NO_ACTIVATION if name == "linear" else name
