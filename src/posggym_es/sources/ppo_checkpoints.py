"""Checkpoints of the PPO baselines: reading them safely, and their policies.

A checkpoint is a dict with the weights (`model`), the training configuration (`config`)
and the optimizer's state. The configuration holds Gymnasium spaces, paths, devices and
random generators. All of these become records, which keep their fields and do nothing.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from pathlib import Path
from typing import Any

from pgpelib.foreign.safe_pickle import ForeignFileError, short
from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.utils.plain_data import is_integer, is_line, plain
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.policies.stochastic import StochasticPolicy
from posggym_es.sources.base import refuse_settings
from posggym_es.sources.checkpoint_names import (
    CHECKPOINT_SUFFIX,
    FILE_RE,
    CheckpointError,
    latest_checkpoints,
)
from posggym_es.sources.checkpoint_source import CheckpointSource
from posggym_es.sources.settings import AgentSettings, settings_for
from posggym_es.sources.torch_content import named_weights, torch_content
from posggym_es.tasks.family import POSGGYM_PREFIX

logger = logging.getLogger(__name__)


class WeightlessError(CheckpointError):
    """A checkpoint of a policy that has no network, such as a random one."""


class PPOCheckpoints(CheckpointSource):
    """Files that POSGGym's PPO baselines write, and folders of them."""

    name = "posggym_baselines"
    patterns = (f"*{CHECKPOINT_SUFFIX}",)

    def recognises_file(self, path: Path) -> bool:
        """Return whether a file has the name of a checkpoint."""
        return path.suffix == CHECKPOINT_SUFFIX

    def policies(self, path: Path) -> dict[str, Path]:
        """Return the latest checkpoint of each policy id; see `PolicySource`."""
        return usable_checkpoints(path)

    def read(self, path: Path, settings: AgentSettings) -> ConvertiblePolicy:
        """Read a checkpoint; see `CheckpointSource`."""
        settings = settings_for(path, settings)
        refuse_settings(path, settings, allowed=("deterministic",))
        policy = load_checkpoint(path)
        return dataclasses.replace(policy, deterministic=settings.deterministic is True)


def load_checkpoint(path: Path) -> StochasticPolicy:
    """Read a checkpoint, executing nothing.

    Parameters
    ----------
    path
        `checkpoint_<update>_<policy_id>.pt`, or any other name: the policy id is the
        name without its suffix then, as for a published `P0_seed0.pt`.

    Raises
    ------
    WeightlessError
        If it is a checkpoint of a policy without a network.
    CheckpointError
        If the file is not a checkpoint, names anything outside the allow-list, or its
        policy cannot be expressed in POSGGym's format.
    """
    try:
        data = torch_content(path)
        if not isinstance(data, dict) or not {"model", "config"} <= set(data):
            raise ForeignFileError(
                "it has no model and config; if it is the state dict of a module, "
                "name its layers (agent.yaml)"
            )
    except ForeignFileError as error:
        raise CheckpointError(f"{path}: not a checkpoint: {error}") from error
    if not data["model"]:
        raise WeightlessError(f"{path}: the policy has no weights")
    try:
        return _policy(data, path)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def usable_checkpoints(source: Path) -> dict[str, Path]:
    """Return the latest checkpoint of each policy id that has a network.

    Others, such as the random policy that is saved with a level-k hierarchy, are
    skipped with a line in the log.

    Parameters
    ----------
    source
        See `posggym_es.sources.checkpoint_names.latest_checkpoints`.

    Raises
    ------
    CheckpointError
        If there is none, or one cannot be read.
    """
    found = latest_checkpoints(source)
    usable = {
        policy_id: path
        for policy_id, path in found.items()
        if _has_weights(path, path.stat().st_mtime_ns)
    }
    if not usable:
        raise CheckpointError(f"{source}: no policy there has weights")
    return usable


@functools.cache
def _has_weights(path: Path, _: int) -> bool:
    """Return whether a checkpoint has a network, once for each time of its change."""
    try:
        load_checkpoint(path)
    except WeightlessError as error:
        logger.warning("%s; skipped", error)
        return False
    return True


def _policy(data: dict[str, Any], path: Path) -> StochasticPolicy:
    config = data["config"]
    if not isinstance(config, dict):
        raise ValueError(f"the config is {short(config)}")
    weights = named_weights(data["model"])
    for key in ("lstm_use_prev_action", "lstm_use_prev_reward"):
        if config.get(key, False) is not False:
            raise ValueError(
                f"{key}: the LSTM reads the last action or reward, which POSGGym "
                "0.6.0's policies cannot: it fails to make such an LSTM"
            )
    recurrent = config.get("use_lstm", "lstm.weight_ih_l0" in weights) is True
    lstm_size: Any = config.get("lstm_size")
    lstm_layers: Any = config.get("lstm_num_layers", config.get("lstm_layers", 1))
    env_id = config.get("env_id")
    if not is_line(env_id):
        raise ValueError(f"the config names no environment: env_id is {short(env_id)}")
    env_kwargs = config.get("env_kwargs")
    if env_kwargs is not None and not isinstance(env_kwargs, dict):
        raise ValueError(f"env_kwargs is {short(env_kwargs)}, not a dictionary")
    update, policy_id = _identity(data, path)
    return StochasticPolicy(
        weights=weights,
        trunk_sizes=_sizes(config, "trunk_sizes", "trunk_size"),
        head_sizes=_sizes(config, "head_sizes", "head_size"),
        lstm_size=lstm_size if recurrent else 0,
        lstm_layers=lstm_layers if recurrent else 0,
        activation=config.get("activation", "tanh"),
        env_name=POSGGYM_PREFIX + env_id,
        env_config=plain(env_kwargs or {}, "env_kwargs"),
        metadata=PolicyMetadata.from_notes(
            {
                "algorithm": "PPO",
                "policy_id": policy_id,
                "update": update,
                "timesteps": data.get("global_step"),
            }
        ),
    )


def _identity(data: dict[str, Any], path: Path) -> tuple[int, str]:
    match = FILE_RE.fullmatch(path.name)
    if match is not None:
        return int(match[1]), match[2]
    return data.get("update", 0), path.stem


def _sizes(config: dict[str, Any], *names: str) -> Any:
    """Return sizes under their name or an older one; older ones may be one number."""
    for name in names:
        if name in config:
            value = config[name]
            if is_integer(value):
                return [value]
            return list(value) if isinstance(value, tuple) else value
    return []
