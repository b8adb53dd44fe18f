"""Making policies of networks that were read, with what users say about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pgpelib.policies.metadata import PolicyMetadata
from posggym_es.policies.foreign import SQUASHED, ForeignPolicy
from posggym_es.policies.steps import Normalization, Step, inputs_of
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.settings import AGENT_FILE, AgentSettings


def foreign_policy(
    path: Path,
    steps: Sequence[Step],
    outputs_are: str,
    settings: AgentSettings,
    metadata: PolicyMetadata,
    normalization: Normalization | None = None,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
) -> ForeignPolicy:
    """Return the policy of a checkpoint.

    Parameters
    ----------
    path
        The checkpoint, for messages.
    steps, outputs_are
        See `ForeignPolicy`.
    settings
        What users say about it.
    metadata
        What the file says about its training.
    normalization
        Normalisation of observations that the file has, if any.
    bounds
        Lower and upper bounds of actions in training, shape (n,) each.

    Raises
    ------
    ExtractionError
        If something is missing, contradictory or not valid; the message names the file.
    """
    if not steps:
        raise ExtractionError(f"{path}: the network has no layers")
    if settings.env_name is None:
        raise ExtractionError(
            f"{path}: does not say which environment its agent is for; set env_name "
            f"under agent: in the config, by --agent env_name=ID, or in {AGENT_FILE} "
            "beside it"
        )
    if settings.deterministic is False and outputs_are == SQUASHED:
        raise ExtractionError(
            f"{path}: a distribution squashed by tanh cannot be expressed in POSGGym, "
            "which samples from a normal distribution; leave out deterministic: false"
        )
    low, high = bounds or (None, None)
    obs, action = settings.obs_processor, settings.action_processor
    try:
        policy = ForeignPolicy(
            list(steps),
            outputs_are,
            settings.env_name,
            settings.env_config,
            _said_normalization(settings, inputs_of(steps[0])) or normalization,
            low,
            high,
            None if obs is None else obs.spec(),
            None if action is None else action.spec(),
            metadata,
        )
    except ValueError as error:
        raise ExtractionError(f"{path}: {error}") from error
    return policy.without_chance() if settings.deterministic else policy


def _said_normalization(settings: AgentSettings, size: int) -> Normalization | None:
    mean, stdev, clip = settings.obs_mean, settings.obs_stdev, settings.obs_clip
    if mean is None and stdev is None and clip is None:
        return None
    return Normalization(
        np.zeros(size) if mean is None else np.array(mean, np.float64),
        np.ones(size) if stdev is None else np.array(stdev, np.float64),
        clip,
    )


def metadata_of(algorithm: str, path: Path, **known: Any) -> PolicyMetadata:
    """Return the metadata of a checkpoint.

    Raises
    ------
    ValueError
        If a value has the wrong type.
    """
    notes = {"algorithm": algorithm, "policy_id": path.stem, **known}
    return PolicyMetadata.from_notes(notes)
