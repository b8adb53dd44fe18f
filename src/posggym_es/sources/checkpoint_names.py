"""Names of the PPO baselines' checkpoints.

Imported by the Snakefile at start-up, so it does not import PyTorch.
"""

from __future__ import annotations

import re
from pathlib import Path

CHECKPOINT_SUFFIX = ".pt"
FILE_RE = re.compile(r"checkpoint_(\d+)_(.+)\.pt")


class CheckpointError(ValueError):
    """A checkpoint is not valid; the message names the file and the reason."""


def latest_checkpoints(source: Path) -> dict[str, Path]:
    """Return the latest checkpoint of each policy id, sorted by id.

    Parameters
    ----------
    source
        A checkpoint, or a folder of them. Of `checkpoint_<update>_<policy_id>.pt`, the
        one with the highest update is used. For other names, such as the published
        `P0_seed0.pt`, the policy id is the name without its suffix.

    Raises
    ------
    CheckpointError
        If there are no checkpoints, or an id has files with both forms of names.
    """
    if source.is_dir():
        files = sorted(source.glob(f"*{CHECKPOINT_SUFFIX}"))
    else:
        files = [source] if source.is_file() else []
    latest: dict[str, tuple[int, Path]] = {}
    for path in files:
        match = FILE_RE.fullmatch(path.name)
        update, policy_id = (int(match[1]), match[2]) if match else (-1, path.stem)
        known = latest.get(policy_id)
        if known is not None and (known[0] == -1) != (update == -1):
            raise CheckpointError(
                f"{source}: {known[1].name} and {path.name} are both of the policy "
                f"{policy_id}"
            )
        if known is None or update > known[0]:
            latest[policy_id] = update, path
    if not latest:
        raise CheckpointError(
            f"{source}: holds no checkpoints (checkpoint_<update>_<policy_id>.pt, or "
            "other names with .pt)"
        )
    return {policy_id: latest[policy_id][1] for policy_id in sorted(latest)}
