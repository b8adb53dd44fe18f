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
from typing import Any

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
    return list(_project()["optional-dependencies"])


def project_requirements(extras: Sequence[str]) -> list[str]:
    """Return the requirements in `pyproject.toml`: dependencies, and those of extras.

    An extra that has others, such as `posggym-es[train,film]`, is replaced by theirs.

    Raises
    ------
    ValueError
        If there is no such extra.
    """
    project = _project()
    optional = project["optional-dependencies"]
    if unknown := set(extras) - set(optional):
        raise ValueError(
            f"unknown extra {', '.join(sorted(unknown))}; "
            f"pyproject.toml has {', '.join(optional)}"
        )
    found = list(project["dependencies"])
    waiting = list(extras)
    while waiting:
        for requirement in optional[waiting.pop(0)]:
            name, inner = split_requirement(requirement)
            if normal_name(name) == OWN_NAME:
                waiting += inner
            elif requirement not in found:
                found.append(requirement)
    return found


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads(PROJECT_FILE.read_text(encoding="utf-8"))
    return dict(project["project"])


def split_requirement(requirement: str) -> tuple[str, list[str]]:
    """Return the name and the extras of a requirement such as `posggym[agents]>=0.6`.

    Raises
    ------
    ValueError
        If it does not begin with a name.
    """
    match = re.match(r"([\w.-]*\w)(?:\[([\w.,\s-]*)\])?", requirement)
    if match is None:
        raise ValueError(f"{requirement!r} is not a requirement")
    extras = (match[2] or "").split(",")
    return match[1], [extra.strip() for extra in extras if extra.strip()]


def pip(*arguments: str) -> None:
    """Run this Python's pip.

    Raises
    ------
    subprocess.CalledProcessError
        If pip fails; its own message is on the terminal.
    """
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def pinned(requirement: str, packages: dict[str, LockedPackage]) -> str:
    """Return a requirement with the version of the lock instead of its own.

    Parameters
    ----------
    requirement
        Such as `posggym[agents]>=0.6,<0.7`; whether the locked version is in its range
        is for `pip check` to say.
    packages
        The lock, by normal name.

    Raises
    ------
    ValueError
        If the lock lacks the package.
    """
    name, extras = split_requirement(requirement)
    package = packages.get(normal_name(name))
    if package is None:
        raise ValueError(
            f"{requirement}: not in {LOCK_FILE.name}; write it again with `make lock`"
        )
    suffix = f"[{','.join(extras)}]" if extras else ""
    return f"{name}{suffix}=={package.version}"


def locked_line(requirement: str, packages: dict[str, LockedPackage]) -> str:
    """Return a line of a requirements file: a requirement's locked version and hashes.

    Raises
    ------
    ValueError
        If the lock lacks the package.
    """
    name, _ = split_requirement(requirement)
    line = pinned(requirement, packages)
    hashes = sorted(packages[normal_name(name)].hashes)
    return " ".join([line, *(f"--hash=sha256:{digest}" for digest in hashes)])


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
        Such as `posggym[agents]>=0.6`; the lock says which version.
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
    # Two extras may ask for one package.
    lines = sorted({locked_line(requirement, packages) for requirement in requirements})
    with tempfile.TemporaryDirectory() as folder:
        # What is asked for directly needs its hash beside it, also in older releases
        # of pip, which read no hashes from constraints: one of them installs pip.
        wanted = Path(folder) / "requirements.txt"
        wanted.write_text("\n".join(lines) + "\n", encoding="utf-8")
        files = ["--requirement", str(wanted), "--constraint", str(lock)]
        checks = ["--require-hashes", "--no-build-isolation"]
        pip(command, "--quiet", *checks, *files, *options)
