"""Partners of a policy in training: registered policies, and saved ones.

A registered policy is named by its id, a saved one by the path of its file, which ends
in `.pickle`. A policy that was trained with saved policies keeps copies of them in the
folder `partners` next to its own file. Each copy is named by a digest of what it plays,
and files with metadata name it relative to their own folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pgpelib.foreign.config_text import read_config_file
from pgpelib.utils.files import write_bytes
from pgpelib.utils.plain_data import is_number

Partners = Sequence[str] | Mapping[str, float]
"""Who plays the other agents: a list takes turns, and a mapping to weights is drawn
from for each episode."""

SAVED_SUFFIX = ".pickle"
PARTNERS_FOLDER = "partners"


def is_saved(name: str) -> bool:
    """Return whether a partner is named by a file, not by the id of a registration."""
    return name.endswith(SAVED_SUFFIX)


def standard_name(digest: str) -> str:
    """Return the name that a saved partner has in files, for its digest."""
    return f"{PARTNERS_FOLDER}/{digest}{SAVED_SUFFIX}"


def read_partners(path: Path) -> dict[str, float]:
    """Read a YAML or JSON file that maps partners to their weights.

    Raises
    ------
    ValueError
        If it is not one; the message names the file.
    """
    weights = read_config_file(path)
    if not weights:
        raise ValueError(f"{path}: names no partners")
    for name, weight in weights.items():
        if not is_number(weight) or weight <= 0:
            raise ValueError(f"{path}: the weight of {name} is not greater than 0")
    return weights


def renamed(
    partners: Partners, rename: Callable[[str], str]
) -> list[str] | dict[str, float]:
    """Return partners with other names; the weights of those that become one add up."""
    if not isinstance(partners, Mapping):
        return [rename(name) for name in partners]
    weights: dict[str, float] = {}
    for name, weight in partners.items():
        new = rename(name)
        weights[new] = weights[new] + weight if new in weights else weight
    return weights


def relative(partners: Partners) -> list[str] | dict[str, float]:
    """Return partners as files name them, the inverse of `located`."""

    def rename(name: str) -> str:
        return standard_name(Path(name).stem) if is_saved(name) else name

    return renamed(partners, rename)


def located(partners: Partners, folder: Path) -> list[str] | dict[str, float]:
    """Return partners that a file in a folder names, with the paths of saved ones."""
    return renamed(
        partners, lambda name: str(folder / name) if is_saved(name) else name
    )


def keep(files: Mapping[str, Path], folder: Path) -> None:
    """Copy saved partners to where a policy in a folder has them, and remove others.

    Parameters
    ----------
    files
        Files to copy by their standard names.
    folder
        Folder of the policy.
    """
    for name, path in files.items():
        if folder / name != path:
            write_bytes(folder / name, path.read_bytes())
    for other in (folder / PARTNERS_FOLDER).glob(f"*{SAVED_SUFFIX}"):
        if f"{PARTNERS_FOLDER}/{other.name}" not in files:
            other.unlink()
