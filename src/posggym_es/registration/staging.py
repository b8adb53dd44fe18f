"""Copying policy files to the paths that POSGGym and its models repository use."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from pgpelib.utils.files import write_bytes
from posggym_es.registration.spec import ASSETS_ROOT, MODELS_ROOT, AgentSpec


class StagingError(ValueError):
    """Two agents have the same id or policy file."""


def check_distinct(specs: Sequence[AgentSpec]) -> None:
    """Check that no two agents share an id or a policy file.

    Raises
    ------
    StagingError
        If they do; the message names the id or the file.
    """
    for what, values in (
        ("policy id", [spec.id for spec in specs]),
        ("policy file", [str(spec.asset) for spec in specs]),
    ):
        for value in values:
            if values.count(value) > 1:
                raise StagingError(
                    f"{values.count(value)} agents have the {what} {value}; give them "
                    "different policy names or versions"
                )


def stage_models(agents: Sequence[tuple[AgentSpec, Path]], root: Path) -> list[Path]:
    """Copy policy files to their paths in the models repository.

    Parameters
    ----------
    agents
        Specs and their policy files.
    root
        Root of the (staged) repository.

    Returns
    -------
    list of Path
        The files written, `<root>/posggym/agents/...`.

    Raises
    ------
    ValueError
        If a file is not the one whose conversion was proved; see
        `AgentSpec.policy_bytes`.
    StagingError
        If two agents share an id or a file.
    """
    return _stage(agents, root / MODELS_ROOT)


def stage_assets(agents: Sequence[tuple[AgentSpec, Path]], root: Path) -> list[Path]:
    """Copy policy files to the paths where the posggym package in `root` expects them.

    Returns
    -------
    list of Path
        The files written, `<root>/posggym/assets/agents/...`.

    Raises
    ------
    ValueError, StagingError
        See `stage_models`.
    """
    return _stage(agents, root / ASSETS_ROOT)


def _stage(agents: Sequence[tuple[AgentSpec, Path]], root: Path) -> list[Path]:
    check_distinct([spec for spec, _ in agents])
    written = []
    for spec, file in agents:
        target = root / spec.asset
        write_bytes(target, spec.policy_bytes(file))
        written.append(target)
    return written


def copy_models(source: Path, target: Path) -> None:
    """Copy the policy files of a models repository, except for symbolic links."""
    for file in sorted(source.rglob("*.pkl")):
        if stat.S_ISREG(file.lstat().st_mode):
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def installed_posggym() -> Path:
    """Return the package folder of the installed posggym, without importing it."""
    found = importlib.util.find_spec("posggym")
    if found is None or found.origin is None:
        raise ValueError("posggym is not installed in this environment")
    return Path(found.origin).parent


def copy_package(package: Path, root: Path) -> None:
    """Copy an installed posggym package to `<root>/posggym`.

    Model files become hard links if possible, because there can be 160 MB of them.
    """
    shutil.copytree(
        package,
        root / "posggym",
        ignore=shutil.ignore_patterns("__pycache__"),
        copy_function=_link_models,
    )


def _link_models(source: str, target: str) -> None:
    if source.endswith(".pkl"):
        try:
            os.link(source, target)
            return
        except OSError:
            # The target is on another file system, or hard links are not supported.
            pass
    shutil.copy2(source, target)
