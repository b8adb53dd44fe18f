"""Creating copies of posggym in which agents are registered."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from pgpelib.utils.files import atomic_directory
from posggym_es.registration.registry_files import (
    RegistryError,
    existing_ids,
    generated_specs,
    register,
)
from posggym_es.registration.spec import ASSETS_ROOT, AgentSpec
from posggym_es.registration.staging import copy_package, installed_posggym


def make_tree(
    specs: Sequence[AgentSpec],
    assets_root: Path | None,
    output: Path,
    package: Path | None = None,
    partners: Collection[str] = (),
) -> list[Path]:
    """Create a posggym tree in which agents are registered.

    Parameters
    ----------
    specs
        The agents.
    assets_root
        Folder with the staged policy files, `posggym/assets/agents/...`; None for a
        tree without policy files.
    output
        Folder of the tree; an existing one is replaced.
    package
        The package to copy; None for the installed posggym. Agents that earlier runs
        registered in it are removed, except for `partners`.
    partners
        Ids of training partners of the agents, which are needed to play them.

    Returns
    -------
    list of Path
        The files with registration code, relative to the tree.

    Raises
    ------
    ValueError
        If a policy file is missing, or not the one whose conversion was proved.
    RegistryError
        See `posggym_es.registration.registry_files.register`.
    StagingError
        If two agents share an id or a file.
    """
    if assets_root is not None:
        for spec in specs:
            file = assets_root / ASSETS_ROOT / spec.asset
            if not file.is_file():
                raise ValueError(f"{file}: no such file; it is the policy of {spec.id}")
            spec.policy_bytes(file)
    package = package or installed_posggym()
    own = {spec.id for spec in specs}
    earlier = generated_specs(package.parent)
    kept = [spec for spec in earlier if spec.id in partners and spec.id not in own]
    with atomic_directory(output) as tree:
        copy_package(package, tree)
        for spec in earlier:
            if spec not in kept:
                _remove_file(tree / ASSETS_ROOT / spec.asset)
        if assets_root is not None:
            shutil.copytree(assets_root, tree, dirs_exist_ok=True)
        # Agents of earlier runs may be replaced, but not posggym's own.
        try:
            register(tree, [])
            taken = frozenset(existing_ids(tree))
            changed = register(tree, [*specs, *kept], taken)
        except RegistryError as error:
            # Remove the tree's temporary name from the message.
            raise RegistryError(str(error).replace(f"{tree}/", "")) from error
        return [path.relative_to(tree) for path in changed]


def _remove_file(path: Path) -> None:
    """Remove a file, if it exists, and parent folders that become empty."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        os.removedirs(path.parent)
