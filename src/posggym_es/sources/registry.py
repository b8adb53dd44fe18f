"""All sources of policies; see CONTRIBUTING.md for how to add one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.policies.policy_checks import check_modules
from posggym_es.sources.base import ExtractionError, PickedPolicy, PolicySource
from posggym_es.sources.evolved import EvolvedPolicies
from posggym_es.sources.extracted import ExtractedPolicies
from posggym_es.sources.ppo_checkpoints import PPOCheckpoints

# A file or folder is read by the first source that recognises it.
SOURCES: tuple[PolicySource, ...] = (
    ExtractedPolicies(),
    PPOCheckpoints(),
    EvolvedPolicies(),
)


def source_of(path: Path) -> PolicySource:
    """Return the source that recognises a file or folder.

    Raises
    ------
    ExtractionError
        If the path does not exist, or no source recognises it.
    """
    if not path.exists():
        raise ExtractionError(f"{path}: no such file or folder")
    for source in SOURCES:
        if source.recognises(path):
            return source
    known = ", ".join(source.files for source in SOURCES)
    raise ExtractionError(f"{path}: holds no policies ({known})")


def read_policies(
    path: Path, env_modules: Collection[str] = ()
) -> dict[str, ConvertiblePolicy]:
    """Read all policies in a file or folder, keyed by the names of the files to write.

    Parameters
    ----------
    path
        A folder with an extracted policy; a folder with saved policies, of which the
        latest is used; a folder with checkpoints of the PPO baselines; or a file in
        such a folder. Checkpoints are named by their policy ids, others "policy".
    env_modules
        Modules that the environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.

    Raises
    ------
    ValueError
        If there are no policies, or one is not valid; the message names the file.
    """
    policies = source_of(path).read_all(path)
    for policy in policies.values():
        _check_modules(policy, env_modules, path)
    return policies


def pick_policy(
    path: Path,
    checkpoint: str = "latest",
    role: str | None = None,
    env_modules: Collection[str] = (),
) -> PickedPolicy:
    """Select and read one policy of a training run.

    Parameters
    ----------
    path
        A policy file, or a folder of them.
    checkpoint
        "latest" selects the policy of the last generation or update, "best" the one
        with the highest mean re-evaluation (the later one if there are several).
    role
        The agent id that the policy plays, if the run trains one policy per role.
    env_modules
        Modules that the policy's environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.

    Raises
    ------
    ValueError
        If there is no policy, it is not valid, or its environment is in another module;
        the message names the file.
    """
    picked = source_of(path).pick(path, checkpoint, role)
    _check_modules(picked.policy, env_modules, picked.file)
    return picked


def _check_modules(
    policy: ConvertiblePolicy, modules: Collection[str], path: Path
) -> None:
    try:
        check_modules(policy, modules)
    except ValueError as error:
        raise ExtractionError(f"{path}: {error}") from error
