#!/usr/bin/env python
"""Write the versions, hashes and licences of the environment's packages.

`requirements.lock` has every package that may be installed for this project, with the
SHA-256 of every file of that release in the package index, so that it holds on other
platforms and Python versions, too. `docs/licences.md` lists the licences. Run it with
`make lock` after changing `pyproject.toml`; versions that still fit stay.

PyTorch has two builds of one release: `2.13.0` in the package index, which brings
CUDA's libraries as packages, and `2.13.0+cpu`, which pip prefers where it is configured
to find it. The lock accepts both: it has the hashes of both and the packages that
either needs. It constrains an installation and lists more than one machine installs.
Hashes of a build that is not found on this machine are kept from the previous lock.

The conda environments in `envs/` are written here, too: the packages of some extras,
in the versions of the lock.

Examples
--------
    .venv/bin/python tools/lock_environment.py
    .venv/bin/python tools/lock_environment.py --upgrade
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from locked_packages import (
    LOCK_FILE,
    PROJECT_FILE,
    ROOT,
    LockedPackage,
    normal_name,
    parse_lock,
    pinned,
    pip,
    project_requirements,
)

# Extras that the rules need, by conda environment, and what it is for.
CONDA_EXTRAS = {
    "train.yaml": (
        "Training rules",
        ["train", "simulators", "ray", "mongo", "tensorboard"],
    ),
    "posggym.yaml": (
        "Rules from extraction to results",
        ["pipeline", "simulators"],
    ),
}
# The oldest that all extras support.
PYTHON = "3.11"
LICENCES_FILE = ROOT / "docs" / "licences.md"
# Tools with an environment of their own: snakefmt needs another Black than the one that
# formats generated code, and the documentation needs nothing of the project's.
TOOL_INPUTS = sorted((ROOT / "tools").glob("*.in"))
HEADER = """\
# Written by `make lock`: what may be installed, with the SHA-256 of acceptable files.
# PyTorch's build for CPUs (+cpu) counts as its release; only its other build needs
# CUDA's packages. tools/lock_environment.py explains it.
"""


def compile_requirements(source: Path, output: Path, upgrade: bool) -> None:
    """Resolve requirements with uv, which lists the hashes of all files of a release.

    Parameters
    ----------
    source
        A `pyproject.toml`, all of whose extras are resolved, or a `.in` file.
    output
        Where the lock is written; versions that stand there stay where they fit.
    upgrade
        Whether newer versions are taken instead.

    Raises
    ------
    subprocess.CalledProcessError
        If it fails; its own message is on the terminal.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet"]
    command += ["--native-tls", "--generate-hashes", "--strip-extras"]
    command += ["--python-version", PYTHON, "--no-header", "--no-annotate"]
    command += ["--all-extras"] if source.suffix == ".toml" else []
    command += ["--upgrade"] if upgrade else []
    command += ["--output-file", str(output), str(source)]
    subprocess.run(command, check=True)


def resolve(
    before: dict[str, LockedPackage], upgrade: bool
) -> dict[str, LockedPackage]:
    """Return all packages with the index's hashes, by normal name.

    Parameters
    ----------
    before
        The lock as it is, by normal name.
    upgrade
        Whether newer versions are taken where `pyproject.toml` leaves a choice.

    Raises
    ------
    subprocess.CalledProcessError
        If uv fails; its own message is on the terminal.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / LOCK_FILE.name
        pins = (f"{package.name}=={package.version}\n" for package in before.values())
        output.write_text("".join(pins), encoding="utf-8")
        compile_requirements(PROJECT_FILE, output, upgrade)
        return parse_lock(output.read_text(encoding="utf-8"))


def pip_report(packages: Iterable[LockedPackage]) -> list[dict[str, Any]]:
    """Return pip's report of what it would install for these packages here.

    Raises
    ------
    subprocess.CalledProcessError
        If pip fails; its own message is on the terminal.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = ["install", "--dry-run", "--ignore-installed", "--quiet", "--no-deps"]
        asked = [f"{package.name}=={package.version}" for package in packages]
        pip(*command, "--report", str(report), *asked)
        content = json.loads(report.read_text(encoding="utf-8"))
    items: list[dict[str, Any]] = content["install"]
    return items


def local_builds(items: Iterable[dict[str, Any]]) -> dict[str, frozenset[str]]:
    """Return the hashes of builds with a local label in pip's report, by name."""
    return {
        normal_name(item["metadata"]["name"]): frozenset(
            [item["download_info"]["archive_info"]["hashes"]["sha256"]]
        )
        for item in items
        if "+" in item["metadata"]["version"]
    }


def merge(
    found: dict[str, LockedPackage],
    local: dict[str, frozenset[str]],
    before: dict[str, LockedPackage],
) -> list[LockedPackage]:
    """Return the packages of a resolution, sorted, with all acceptable hashes.

    Parameters
    ----------
    found
        The resolution, by normal name.
    local
        Hashes of local builds, by normal name.
    before
        A lock whose hashes stay where the version has stayed.
    """
    merged = []
    for name, package in sorted(found.items()):
        old = before.get(name)
        kept = old.hashes if old and old.version == package.version else frozenset()
        hashes = package.hashes | local.get(name, frozenset()) | kept
        merged.append(dataclasses.replace(package, hashes=hashes))
    return merged


def lock_text(packages: list[LockedPackage]) -> str:
    """Return the lock file."""
    lines = [HEADER]
    for package in packages:
        hashes = (f"    --hash=sha256:{digest}" for digest in sorted(package.hashes))
        lines.append(
            f"{package.name}=={package.version} \\\n" + " \\\n".join(hashes) + "\n"
        )
    return "".join(lines)


def licence(metadata: dict[str, Any]) -> str:
    """Return the licence that a package's metadata names."""
    if metadata.get("license_expression"):
        return metadata["license_expression"]
    prefix = "License :: "
    classifiers = [
        value.rpartition(" :: ")[2]
        for value in metadata.get("classifier") or []
        if value.startswith(prefix) and value != f"{prefix}OSI Approved"
    ]
    text = (metadata.get("license") or "").strip()
    first = text.splitlines()[0] if text else ""
    return ", ".join(classifiers) or first or "not stated"


def licences_text(packages: list[LockedPackage], items: list[dict[str, Any]]) -> str:
    """Return the page of licences."""
    licences = {normal_name(item["name"]): licence(item) for item in items}
    lines = [
        "# Licences of the packages that may be installed",
        "",
        "As the packages state them; written by `make lock`.",
        "",
        "| Package | Version | Licence |",
        "|---|---|---|",
    ]
    for package in packages:
        stated = licences[normal_name(package.name)]
        lines.append(f"| {package.name} | {package.version} | {stated} |")
    return "\n".join(lines) + "\n"


def conda_environment(name: str, packages: dict[str, LockedPackage]) -> str:
    """Return one of the conda environment files, with versions of a lock.

    Parameters
    ----------
    name
        File name in `envs/`.
    packages
        The lock, by normal name.

    Raises
    ------
    ValueError
        If the lock lacks one of its packages.
    """
    purpose, extras = CONDA_EXTRAS[name]
    requirements = project_requirements(extras)
    names = sorted({pinned(each, packages) for each in requirements}, key=str.lower)
    lines = [
        f"# {purpose}, for `snakemake --sdm conda`. Written by `make lock`:",
        f"# pyproject.toml's extras {', '.join(extras)}.",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - python={PYTHON}",
        "  - pip",
        "  - pip:",
        *(f"      - {each}" for each in names),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--upgrade", action="store_true", help="take newer versions where they fit"
    )
    args = parser.parse_args()
    before = parse_lock(LOCK_FILE.read_text(encoding="utf-8"))
    try:
        found = resolve(before, args.upgrade)
        items = pip_report(found.values())
        for source in TOOL_INPUTS:
            compile_requirements(source, source.with_suffix(".lock"), args.upgrade)
    except (ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"lock_environment.py: {error}")
    packages = merge(found, local_builds(items), before)
    metadata = [item["metadata"] for item in items]
    LOCK_FILE.write_text(lock_text(packages), encoding="utf-8")
    LICENCES_FILE.write_text(licences_text(packages, metadata), encoding="utf-8")
    locked = {normal_name(package.name): package for package in packages}
    for name in CONDA_EXTRAS:
        text = conda_environment(name, locked)
        (ROOT / "envs" / name).write_text(text, encoding="utf-8")
    print(f"{len(packages)} packages in {LOCK_FILE.name} and {LICENCES_FILE.name}")


if __name__ == "__main__":
    main()
