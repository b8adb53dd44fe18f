"""Names of Gymnasium tasks in POSGGym."""

from __future__ import annotations

import re

ENV_TYPE = "gymnasium"
"""Folder of Gymnasium tasks in POSGGym's layout, next to "continuous" and others."""

AGENT_ID = "0"
"""The only agent of every Gymnasium task, as POSGGym numbers agents."""

_WORD_BREAK_RE = re.compile(
    r"(?<=[a-z])(?=[A-Z])|(?<=[0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])"
)


def env_name(env_id: str) -> str:
    """Return the name of an environment's folder in POSGGym's layout.

    Parameters
    ----------
    env_id
        Environment id, such as "HumanoidBulletEnv-v0". A module prefix is ignored, but
        a namespace is not.

    Returns
    -------
    str
        The id in snake case without its version, such as "humanoid_bullet_env"; matches
        ``[a-z][a-z0-9_]*``. All versions of a task have the same name.

    Raises
    ------
    ValueError
        If the id contains no letters or digits.
    """
    bare_id = env_id.rpartition(":")[2]
    words = _WORD_BREAK_RE.sub("_", re.sub(r"-v\d+\Z", "", bare_id))
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    if not name:
        raise ValueError(f"{env_id!r} contains no letters or digits for a folder name")
    return name if name[0].isalpha() else f"env_{name}"
