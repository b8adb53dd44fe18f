"""Choosing one of the policies that a training run saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pgpelib.policies.metadata import comparable_mean
from pgpelib.policies.partners import SAVED_SUFFIX
from pgpelib.policies.policy import SavedPolicy
from pgpelib.policies.saving import load_saved
from posggym_es.sources.base import CHECKPOINTS, ExtractionError
from posggym_es.sources.registry import pick_policy


def checkpoint_file(folder: Path, role: str | None, checkpoint: str) -> Path:
    """Return the file of one of a run's policies.

    Parameters
    ----------
    folder
        Folder of the run's policies.
    role
        The agent id that the policy plays; None for all.
    checkpoint
        "latest" or "best", see `posggym_es.sources.registry.pick_policy`; "initial" or
        "final" for the first or last saved policy; "middle" for the one whose mean
        re-evaluation is closest to the middle between theirs, or without re-evaluations
        for the one after half of the generations; or a generation.

    Raises
    ------
    ValueError
        If there is no such policy; the message names the folder.
    """
    if checkpoint in CHECKPOINTS:
        return pick_policy(folder, checkpoint, role).file
    policies = {path: load_saved(path) for path in folder.glob(f"*{SAVED_SUFFIX}")}
    own = sorted(
        (path for path, policy in policies.items() if policy.metadata.role == role),
        key=lambda path: _generation(policies[path]),
    )
    if not own:
        raise ExtractionError(f"{folder}: holds no policies")
    if checkpoint == "initial":
        return own[0]
    if checkpoint == "final":
        return own[-1]
    if checkpoint == "middle":
        progress = [comparable_mean(policies[p].metadata.re_eval_returns) for p in own]
        if not np.isfinite(progress).all():
            progress = [float(_generation(policies[path])) for path in own]
        middle = (progress[0] + progress[-1]) / 2
        return own[int(np.argmin(np.abs(np.array(progress) - middle)))]
    for path in own:
        if str(_generation(policies[path])) == checkpoint:
            return path
    generations = ", ".join(str(_generation(policies[path])) for path in own)
    raise ExtractionError(
        f"{folder}: no policy of generation {checkpoint}; there are initial, middle, "
        f"final, latest, best and {generations}"
    )


def _generation(policy: SavedPolicy) -> int:
    return policy.metadata.generation or 0
