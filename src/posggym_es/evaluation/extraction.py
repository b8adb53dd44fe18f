"""Extraction: a trained policy in a safe format, with returns for verification."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path

from pgpelib.policies.metadata import Origin
from posggym_es.evaluation.reference_returns import with_reference
from posggym_es.policies.policy_file import write_policy
from posggym_es.sources.registry import pick_policy
from posggym_es.sources.settings import AgentSettings


def extract(
    source: str | Path,
    output_dir: str | Path,
    checkpoint: str = "latest",
    episodes: int = 16,
    role: str | None = None,
    on_episode: Callable[[int], None] | None = None,
    env_modules: Collection[str] = (),
    kind: str | None = None,
    agent: AgentSettings | None = None,
) -> list[float]:
    """Write a saved policy in a safe format, with returns for verification.

    Parameters
    ----------
    source
        A policy file of any source, or a folder of them.
    output_dir
        Folder for `policy.safetensors` and `policy.json`.
    checkpoint, role
        Which policy of a folder, see `posggym_es.sources.registry.pick_policy`.
    episodes
        Episodes to play if the trainer's re-evaluation cannot be used.
    on_episode
        Called with the number of episodes played so far.
    env_modules
        Modules that the policy's environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.
    kind, agent
        The kind of source, and what its files do not say about the agent, see
        `posggym_es.sources.registry.read_policies`.

    Returns
    -------
    list of float
        The returns that verification compares with.

    Raises
    ------
    ValueError
        If there is no policy, or it is not valid; the message names the file.
    """
    output_dir = Path(output_dir)
    picked = pick_policy(Path(source), checkpoint, role, env_modules, kind, agent)
    policy = with_reference(
        picked.policy, _origin(picked.file), episodes, picked.by_returns, on_episode
    )
    write_policy(policy, output_dir)
    return policy.metadata.extracted_reference.returns


def _origin(path: Path) -> Origin:
    return Origin(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
