"""Installing Debian's packages for tests that need more than Python's."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def install(packages: list[str]) -> str | None:
    """Install packages where that is possible; return why it is not, or None."""
    if os.geteuid() != 0:
        return "only root can install packages"
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    options = ["-y", "-qq", "--no-install-recommends"]
    # Another test process may be installing something.
    with (Path(tempfile.gettempdir()) / "apt-get.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["update", "-qq"], ["install", *options, *packages]):
            subprocess.run(
                ["apt-get", *command],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=600,
            )
    return None
