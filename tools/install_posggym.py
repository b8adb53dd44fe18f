#!/usr/bin/env python
"""Install posggym into this Python without downloading all built-in agent models.

posggym 0.6.0 is a source distribution whose build downloads an archive of 160 MB. It
skips that when the archive is there already, and posggym then fetches single models
when they are first used. So: download the source distribution from the package index,
check its hash, add an archive without models, install.

Examples
--------
    .venv/bin/python tools/install_posggym.py
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "0.6.0"
SHA256 = "083b0530aca2354256fd2fd327cff18f972cc8970fdaf323bbe61efe5d344e23"

# posggym's build needs these; with --no-build-isolation they come from here.
BUILD_REQUIREMENTS = ["setuptools==80.9.0", "wheel==0.45.1"]


def pip(*arguments: str) -> None:
    """Run this Python's pip.

    Raises
    ------
    subprocess.CalledProcessError
        If pip fails; its own message is on the terminal.
    """
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True)


def empty_archive(path: Path) -> None:
    """Write the smallest archive of agent models that posggym's build accepts."""
    with tarfile.open(path, "w:gz") as archive:
        for name in ("models", "models/posggym", "models/posggym/agents"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        # The build takes the archive's root folder from its last member.
        version = tarfile.TarInfo("models/posggym/version.txt")
        version.size = len(VERSION)
        archive.addfile(version, io.BytesIO(VERSION.encode()))


def install() -> None:
    """Download, check, patch and install posggym.

    Raises
    ------
    RuntimeError
        If the downloaded file is not the one that this project was tested with.
    """
    pip("install", "--quiet", *BUILD_REQUIREMENTS)
    # posggym depends on torch; the pinned release is the one with a CPU build.
    pip("install", "--quiet", "torch==2.13.0", "numpy==1.26.4")
    with tempfile.TemporaryDirectory() as folder:
        pip(
            "download",
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--no-binary=posggym",
            f"--dest={folder}",
            f"posggym=={VERSION}",
        )
        sdist = Path(folder) / f"posggym-{VERSION}.tar.gz"
        digest = hashlib.sha256(sdist.read_bytes()).hexdigest()
        if digest != SHA256:
            raise RuntimeError(
                f"posggym {VERSION} from the package index has SHA-256 {digest}, "
                f"not {SHA256}; it is not the file that this project was tested with"
            )
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        source = Path(folder) / f"posggym-{VERSION}"
        # The build looks for it in the folder "assets" beside setup.py.
        (source / "assets").mkdir(exist_ok=True)
        empty_archive(source / "assets" / "assets.tar.gz")
        pip(
            "install",
            "--quiet",
            "--no-build-isolation",
            f"{source}[agents]",
            # See pyproject.toml: newer ones do not work with posggym 0.6.0.
            "gymnasium==0.29.1",
            "pymunk==6.11.1",
            "numpy==1.26.4",
        )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--force", action="store_true", help="install again")
    args = parser.parse_args()
    try:
        installed = importlib.metadata.version("posggym")
    except importlib.metadata.PackageNotFoundError:
        installed = None
    if installed == VERSION and not args.force:
        print(f"posggym {VERSION} is installed")
        return
    try:
        install()
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"install_posggym.py: {error}")
    print(f"installed posggym {VERSION}")


if __name__ == "__main__":
    main()
