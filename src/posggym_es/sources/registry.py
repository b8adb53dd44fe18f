"""All sources of policies; see CONTRIBUTING.md for how to add one."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pgpelib.utils.hints import did_you_mean
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.sources.base import ExtractionError, PickedPolicy, PolicySource
from posggym_es.sources.cleanrl import CleanRLModels
from posggym_es.sources.evolved import EvolvedPolicies
from posggym_es.sources.evotorch import EvoTorchPolicies
from posggym_es.sources.extracted import ExtractedPolicies
from posggym_es.sources.module import ModuleStates
from posggym_es.sources.ppo_checkpoints import PPOCheckpoints
from posggym_es.sources.rllib import RLlibModules
from posggym_es.sources.sb3 import SB3Models
from posggym_es.sources.settings import AgentSettings

# A file or folder is read by the first source that recognises it.
SOURCES: tuple[PolicySource, ...] = (
    ExtractedPolicies(),
    SB3Models(),
    CleanRLModels(),
    EvoTorchPolicies(),
    RLlibModules(),
    ModuleStates(),
    PPOCheckpoints(),
    EvolvedPolicies(),
)
SOURCE_NAMES = [source.name for source in SOURCES]


def source_of(
    path: Path, name: str | None = None, settings: AgentSettings | None = None
) -> PolicySource:
    """Return the source that reads a file or folder.

    Parameters
    ----------
    path
        The file or folder.
    name
        One of `SOURCE_NAMES`; None to recognise the source by content.
    settings
        What users say about the agent: who names its layers means a module.

    Raises
    ------
    ExtractionError
        If the path does not exist, or no source recognises it.
    """
    if not path.exists():
        raise ExtractionError(f"{path}: no such file or folder")
    if name is None and settings is not None and settings.layers is not None:
        name = ModuleStates.name
    for source in SOURCES:
        if source.name == name or (name is None and source.recognises(path)):
            return source
    if name is not None:
        hint = did_you_mean(name, SOURCE_NAMES, repr)
        raise ExtractionError(f"unknown source {name!r}{hint}")
    known = dict.fromkeys(pattern for each in SOURCES for pattern in each.patterns)
    raise ExtractionError(f"{path}: holds no policies ({', '.join(known)})")


def read_policies(
    path: Path,
    env_modules: Collection[str] = (),
    source: str | None = None,
    settings: AgentSettings | None = None,
) -> dict[str, ConvertiblePolicy]:
    """Read all policies in a file or folder, keyed by the names of the files to write.

    Parameters
    ----------
    path
        A file of any source, or a folder of them. The latest is used where names tell
        the order. Policies are named by their ids, those without one "policy".
    env_modules
        Modules that the environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.
    source
        Name of the source; None to recognise it by content.
    settings
        What the files do not say about their agents.

    Raises
    ------
    ValueError
        If there are no policies, or one is not valid; the message names the file.
    """
    settings = settings or AgentSettings()
    policies = source_of(path, source, settings).read_all(path, settings)
    for policy in policies.values():
        _check_modules(policy, env_modules, path)
    return policies


def pick_policy(
    path: Path,
    checkpoint: str = "latest",
    role: str | None = None,
    env_modules: Collection[str] = (),
    source: str | None = None,
    settings: AgentSettings | None = None,
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
    source, settings
        See `read_policies`.

    Raises
    ------
    ValueError
        If there is no policy, it is not valid, or its environment is in another module;
        the message names the file.
    """
    settings = settings or AgentSettings()
    picked = source_of(path, source, settings).pick(path, checkpoint, role, settings)
    _check_modules(picked.policy, env_modules, picked.file)
    return picked


def _check_modules(
    policy: ConvertiblePolicy, modules: Collection[str], path: Path
) -> None:
    # On demand: the workflow, which only looks for policies, does not create
    # environments.
    from posggym_es.policies.policy_checks import check_modules

    try:
        check_modules(policy, modules)
    except ValueError as error:
        raise ExtractionError(f"{path}: {error}") from error
