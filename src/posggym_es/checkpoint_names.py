"""Names of the PPO baselines' checkpoints.

Imported by the Snakefile at start-up, so it does not import PyTorch.
"""

from __future__ import annotations

import re
from pathlib import Path

FILE_RE = re.compile(r"checkpoint_(\d+)_(.+)\.pt")


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message names the file and the reason."""


def latest_checkpoints(folder: Path) -> dict[str, Path]:
    """Return the checkpoint of the highest update for each policy id, sorted by id.

    Raises
    ------
    CheckpointError
        If the folder holds none.
    """
    latest: dict[str, tuple[int, Path]] = {}
    for path in sorted(folder.glob("checkpoint_*.pt")):
        match = FILE_RE.fullmatch(path.name)
        if match is not None:
            update, policy_id = int(match[1]), match[2]
            if policy_id not in latest or update > latest[policy_id][0]:
                latest[policy_id] = update, path
    if not latest:
        raise CheckpointError(
            f"{folder}: holds no checkpoints (checkpoint_<update>_<policy_id>.pt)"
        )
    return {policy_id: latest[policy_id][1] for policy_id in sorted(latest)}
