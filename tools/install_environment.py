#!/usr/bin/env python
"""Install everything that this project needs into this Python, from the lock.

pip compares every file's SHA-256 with `requirements.lock` before it unpacks the file or
runs any of its code. It installs itself and the build tools first, then posggym (see
`install_posggym.py`), the dependencies in `pyproject.toml`, and the project, editable.

Examples
--------
    python3 -m venv .venv
    .venv/bin/python tools/install_environment.py --extras test,ray
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import install_posggym
from locked_packages import (
    ROOT,
    locked_version,
    pip,
    pip_install_locked,
    project_requirements,
)


def install(extras: list[str]) -> None:
    """Install the project with some of its extras.

    Raises
    ------
    ValueError
        If there is no such extra, or the lock lacks one of its packages.
    subprocess.CalledProcessError
        If pip fails; its own message is on the terminal.
    """
    requirements = project_requirements(extras)
    pip_install_locked(["pip", "setuptools", "wheel"])
    if not install_posggym.is_installed(locked_version("posggym")):
        install_posggym.install()
    pip_install_locked(requirements)
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    pip("install", "--quiet", *offline, "--editable", str(ROOT))
    pip("check")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--extras", default="", help="extras of pyproject.toml, with commas"
    )
    args = parser.parse_args()
    try:
        install([extra for extra in args.extras.split(",") if extra])
    except (ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"install_environment.py: {error}")


if __name__ == "__main__":
    main()
