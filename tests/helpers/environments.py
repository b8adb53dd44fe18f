"""Environments of their own, with a few of the packages that are installed here."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import venv
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def distributions_for(
    requirements: list[str],
) -> dict[str, importlib.metadata.Distribution]:
    """Return what requirements bring, directly or not, by canonical name."""
    found = {}
    waiting = [Requirement(each) for each in requirements]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        found[name] = importlib.metadata.distribution(name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in found[name].requires or []:
                inner = Requirement(line)
                if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                    waiting.append(inner)
    return found


def make_environment(folder: Path, wheel: Path, extras: str = "") -> Path:
    """Install a wheel as pip does, with links to what it requires; return its Python.

    Nothing is downloaded or copied, so this takes a second; what the wheel does not
    require is not there.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True
    )
    (packages,) = folder.glob("lib/python*/site-packages")
    (metadata,) = importlib.metadata.distributions(path=[str(packages)])
    markers = [Requirement(line) for line in metadata.requires or []]
    wanted = [
        f"{each.name}[{','.join(each.extras)}]" if each.extras else each.name
        for each in markers
        if each.marker is None or each.marker.evaluate({"extra": extras})
    ]
    for distribution in distributions_for(wanted).values():
        for name in {file.parts[0] for file in distribution.files or []}:
            if name not in ("..", "__pycache__") and not (packages / name).exists():
                os.symlink(distribution.locate_file(name), packages / name)
    subprocess.run([*pip, "check"], check=True)
    return python
