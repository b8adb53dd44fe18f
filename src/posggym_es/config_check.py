"""Help with mistakes in the config that the schema finds."""

from __future__ import annotations

import difflib
import re

from pgpelib.training_config import TrainingConfig

# Keys of the config besides the training settings, for spelling hints.
_KEYS = (
    *("experiments", "scale", "scales", "only", "policy", "branch"),
    *("posggym_repo", "agent_models_repo", "agent_models_url"),
    *(
        "train",
        "policy_file",
        "checkpoint_dir",
        "seeds",
        "checkpoint",
        "verify_episodes",
        "register",
    ),
    *("policy_name", "version", "description", "valid_agent_ids", "env_type"),
    *("action_processor", "resources", "threads", "mem_mb", "runtime"),
)


def closest_key_hint(error: Exception) -> str:
    """Return a line that proposes the known key closest to an unknown one, or ""."""
    match = re.search(r"\('?(\S+?)'? (?:was|were) unexpected\)", str(error))
    if not match:
        return ""
    known = [*_KEYS, *TrainingConfig().to_dict()]
    close = difflib.get_close_matches(match[1], known, n=1)
    return f"\n{match[1]!r} is not a key; did you mean {close[0]!r}?" if close else ""
