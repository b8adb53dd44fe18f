"""Writing a trained policy in a safe format, with the returns to verify it by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path

from pgpelib.policies.metadata import Origin
from posggym_es.evaluation.reference_returns import ppo_with_reference, with_reference
from posggym_es.policies.policy_file import write_policy, write_ppo_policy
from posggym_es.policies.ppo_checkpoints import load_checkpoint
from posggym_es.policies.selection import is_chosen_by_re_evaluation, pick_policy


def extract(
    source: str | Path,
    output_dir: str | Path,
    checkpoint: str = "latest",
    episodes: int = 16,
    role: str | None = None,
    on_episode: Callable[[int], None] | None = None,
    env_modules: Collection[str] = (),
) -> list[float]:
    """Write a saved policy in a safe format, with the returns to verify it by.

    Parameters
    ----------
    source
        A `.pickle` policy, a folder of them, or a `.pt` checkpoint of the PPO
        baselines.
    output_dir
        Gets `policy.safetensors` and `policy.json`.
    checkpoint, role
        Which policy of a folder, see `posggym_es.policies.selection.pick_policy`.
    episodes
        Episodes to play when the trainer's re-evaluation cannot be used.
    on_episode
        Called with the number of episodes played so far.
    env_modules
        Modules that the policy's environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.

    Returns
    -------
    list of float
        The returns that verification compares with.

    Raises
    ------
    ValueError
        If there is no policy, or it cannot be used; the message names the file.
    """
    source, output_dir = Path(source), Path(output_dir)
    if source.suffix == ".pt":
        ppo_policy = ppo_with_reference(
            load_checkpoint(source), _origin(source), episodes, role, on_episode
        )
        write_ppo_policy(ppo_policy, output_dir)
        metadata = ppo_policy.metadata
    else:
        path, policy = pick_policy(source, checkpoint, role, env_modules)
        fresh = is_chosen_by_re_evaluation(policy, checkpoint)
        policy = with_reference(policy, _origin(path), episodes, fresh, on_episode)
        write_policy(policy, output_dir)
        metadata = policy.metadata
    return metadata.extracted_reference.returns


def _origin(path: Path) -> Origin:
    return Origin(path.name, hashlib.sha256(path.read_bytes()).hexdigest())
