"""Picking the saved policy that represents a training run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pgpelib.policies.metadata import comparable_mean
from pgpelib.policies.policy import SavedPolicy
from pgpelib.restore import load_policy
from posggym_es.policies.policy_checks import check_modules

CHECKPOINTS = ("latest", "best")


class ExtractionError(ValueError):
    """There is no policy to pick; the message names the folder and why."""


def pick_policy(
    source: Path,
    checkpoint: str,
    role: str | None = None,
    env_modules: Collection[str] = (),
) -> tuple[Path, SavedPolicy]:
    """Pick a saved policy.

    Parameters
    ----------
    source
        A policy file, or a folder of them.
    checkpoint
        "latest" takes the policy of the highest generation, "best" the one with the
        highest mean re-evaluation (the later one of equals).
    role
        Of a run that trains policies for several agent ids, the one to pick for.
    env_modules
        Modules that the policy's environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.

    Returns
    -------
    tuple of Path and SavedPolicy
        The file and what is in it.

    Raises
    ------
    ExtractionError
        If there is none, or its environment is in another module.
    """
    path, policy = _pick(source, checkpoint, role)
    try:
        check_modules(policy, env_modules)
    except ValueError as error:
        raise ExtractionError(f"{path}: {error}") from error
    return path, policy


def _pick(source: Path, checkpoint: str, role: str | None) -> tuple[Path, SavedPolicy]:
    files = [source] if source.is_file() else sorted(source.glob("*.pickle"))
    if not files:
        raise ExtractionError(f"{source}: holds no policies (*.pickle)")
    if len(files) == 1:
        return files[0], load_policy(files[0])
    policies = [(path, load_policy(path)) for path in files]
    for path, policy in policies:
        if policy.metadata.generation is None:
            raise ExtractionError(
                f"{path}: does not say which generation it is of; name the policy file "
                "instead of the folder"
            )
    own = [item for item in policies if item[1].metadata.role == role]
    if not own:
        roles = sorted({str(policy.metadata.role) for _, policy in policies})
        raise ExtractionError(
            f"{source}: holds policies for the roles {', '.join(roles)}; choose one"
        )
    return max(own, key=lambda item: _rank(item[1], checkpoint))


def is_chosen_by_re_evaluation(policy: SavedPolicy, checkpoint: str) -> bool:
    """Return whether a policy is the best of many re-evaluations, and so a lucky one.

    Either `pick_policy` chose it, or the trainer that kept the best center.
    """
    return checkpoint == "best" or policy.metadata.keeps_best


def _rank(policy: SavedPolicy, checkpoint: str) -> tuple[float, int]:
    generation = policy.metadata.generation or 0
    if checkpoint == "latest":
        return 0.0, generation
    if checkpoint == "best":
        return comparable_mean(policy.metadata.re_eval_returns), generation
    raise ExtractionError(
        f"unknown checkpoint {checkpoint!r}; choose one of {', '.join(CHECKPOINTS)}"
    )
