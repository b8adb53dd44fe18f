"""The lock file, and pip installing from it."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK_FILE = ROOT / "requirements.lock"
PROJECT_FILE = ROOT / "pyproject.toml"
OWN_NAME = "posggym-es"


@dataclasses.dataclass(frozen=True)
class LockedPackage:
    """One package of the lock.

    Parameters
    ----------
    name
        Name as the package spells it.
    version
        Its version, without a local label such as `+cpu`.
    hashes
        SHA-256 of every file that may be installed, as 64 hexadecimal digits.
    """

    name: str
    version: str
    hashes: frozenset[str]


def normal_name(name: str) -> str:
    """Return a package's name in normal form: `my-package`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_lock(text: str) -> dict[str, LockedPackage]:
    """Return the packages of a requirements file with hashes, by normal name.

    Raises
    ------
    ValueError
        If a requirement is not of the form `name==version --hash=sha256:...`.
    """
    packages = {}
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        requirement, *options = line.split()
        name, separator, version = requirement.partition("==")
        prefix = "--hash=sha256:"
        if not (separator and options and all(o.startswith(prefix) for o in options)):
            raise ValueError(f"{requirement}: not pinned by version and SHA-256")
        packages[normal_name(name)] = LockedPackage(
            name,
            version.partition("+")[0],
            frozenset(option.removeprefix(prefix) for option in options),
        )
    return packages


def locked_version(name: str) -> str:
    """Return the version of a package in `requirements.lock`."""
    return parse_lock(LOCK_FILE.read_text(encoding="utf-8"))[normal_name(name)].version


def project_extras() -> list[str]:
    """Return the names of the extras in `pyproject.toml`."""
    project = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))["project"]
    return list(project["optional-dependencies"])


def project_requirements(extras: Sequence[str]) -> list[str]:
    """Return the requirements in `pyproject.toml`: dependencies, and those of extras.

    Raises
    ------
    ValueError
        If there is no such extra.
    """
    project = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    if unknown := set(extras) - set(optional):
        raise ValueError(
            f"unknown extra {', '.join(sorted(unknown))}; "
            f"pyproject.toml has {', '.join(optional)}"
        )
    return [*project["dependencies"], *(r for extra in extras for r in optional[extra])]


def pip(*arguments: str) -> None:
    """Run this Python's pip.

    Raises
    ------
    subprocess.CalledProcessError
        If pip fails; its own message is on the terminal.
    """
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def pinned(requirement: str, packages: dict[str, LockedPackage]) -> str:
    """Return a requirement with its version and hashes: a line of a requirements file.

    Parameters
    ----------
    requirement
        `name`, `name[extra]`, or either with `==version`.
    packages
        The lock, by normal name.

    Raises
    ------
    ValueError
        If the lock lacks the package, or has another version of it.
    """
    asked, _, version = requirement.partition("==")
    package = packages.get(normal_name(asked.partition("[")[0]))
    if package is None or version not in ("", package.version):
        raise ValueError(
            f"{requirement}: not in {LOCK_FILE.name}; write it again with `make lock`"
        )
    hashes = (f" --hash=sha256:{digest}" for digest in sorted(package.hashes))
    return f"{asked}=={package.version}{''.join(hashes)}"


def pip_install_locked(
    requirements: Sequence[str],
    command: str = "install",
    options: Sequence[str] = (),
    lock: Path = LOCK_FILE,
) -> None:
    """Let pip install packages and their dependencies, all with a hash in the lock.

    The lock constrains: it may have more than is needed here. A package that it lacks,
    or a file that it does not know, is an error, before any of its code runs. Source
    distributions are built with the tools installed here, which come from the lock.

    Parameters
    ----------
    requirements
        Names, possibly with extras and versions.
    command
        `install` or `download`.
    options
        More options of pip.
    lock
        The lock to use.

    Raises
    ------
    ValueError
        If the lock lacks one of the requirements.
    subprocess.CalledProcessError
        If pip fails; its own message is on the terminal.
    """
    packages = parse_lock(lock.read_text(encoding="utf-8"))
    lines = [pinned(requirement, packages) for requirement in requirements]
    with tempfile.TemporaryDirectory() as folder:
        # What is asked for directly needs its hash beside it, also in older releases
        # of pip, which read no hashes from constraints: one of them installs pip.
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
        files = ["--requirement", str(wanted), "--constraint", str(lock)]
        checks = ["--require-hashes", "--no-build-isolation"]
        pip(command, "--quiet", *checks, *files, *options)
