#!/usr/bin/env python
"""Install posggym into this Python without downloading all built-in agent models.

posggym 0.6.0 is a source distribution whose build downloads an archive of 160 MB. It
skips that when the archive is there already, and posggym then fetches single models
when they are first used. So: download the source distribution, add an archive without
models, install.

pip compares the download with the hash in `requirements.lock` before it unpacks it, so
no code of another file runs. posggym's build tools and dependencies come from the
lock, too.

Examples
--------
    .venv/bin/python tools/install_posggym.py
"""

from __future__ import annotations

import argparse
import importlib.metadata
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from locked_packages import locked_version, pip, pip_install_locked

# posggym's extra for trained policies: what it downloads and runs them with.
REQUIREMENT = "posggym[agents]"


def empty_archive(path: Path, version: str) -> None:
    """Write the smallest archive of agent models that posggym's build accepts."""
    with tarfile.open(path, "w:gz") as archive:
        for name in ("models", "models/posggym", "models/posggym/agents"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(folder)
        # The build takes the archive's root folder from its last member.
        file = tarfile.TarInfo("models/posggym/version.txt")
        file.size = len(version)
        archive.addfile(file, io.BytesIO(version.encode()))


def is_installed(version: str) -> bool:
    """Return whether that release of posggym is installed in this Python."""
    try:
        return importlib.metadata.version("posggym") == version
    except importlib.metadata.PackageNotFoundError:
        return False


def install() -> None:
    """Download, check, patch and install posggym, in the version of the lock.

    Raises
    ------
    ValueError
        If the lock lacks what is needed.
    subprocess.CalledProcessError
        If pip fails, for example because the download is not the locked file; pip's own
        message is on the terminal.
    """
    version = locked_version("posggym")
    pip_install_locked(["setuptools", "wheel"])
    with tempfile.TemporaryDirectory() as folder:
        pip_install_locked(
            ["posggym"],
            command="download",
            options=["--no-deps", "--no-binary=posggym", f"--dest={folder}"],
        )
        with tarfile.open(Path(folder) / f"posggym-{version}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        source = Path(folder) / f"posggym-{version}"
        # The build looks for it in the folder "assets" beside setup.py.
        (source / "assets").mkdir(exist_ok=True)
        empty_archive(source / "assets" / "assets.tar.gz", version)
        # A folder has no hash; nothing is fetched for it.
        offline = ["--no-index", "--no-deps", "--no-build-isolation"]
        pip("install", "--quiet", *offline, str(source))
    pip_install_locked([REQUIREMENT])


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--force", action="store_true", help="install again")
    args = parser.parse_args()
    version = locked_version("posggym")
    if is_installed(version) and not args.force:
        print(f"posggym {version} is installed")
        return
    try:
        install()
    except (ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"install_posggym.py: {error}")
    print(f"installed posggym {version}")


if __name__ == "__main__":
    main()
