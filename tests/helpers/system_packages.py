"""Debian packages that some tests need; the tests do not install them.

Run as a program it prints all of them, one a line, for `apt-get install`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

SLURM = ("slurmctld", "slurmd", "slurm-client", "munge")
BROWSER = ("chromium", "fonts-dejavu-core")
# Films of MuJoCo's environments without a screen.
OFFSCREEN = ("libegl1",)

# Where Debian puts daemons, whoever runs the tests.
SEARCH_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def missing_programs(names: Iterable[str]) -> list[str]:
    """Return the programs that this machine does not have."""
    return [name for name in names if shutil.which(name, path=SEARCH_PATH) is None]


def advice(missing: Iterable[str], packages: Iterable[str]) -> str:
    """Return why a test is skipped, and the command that installs what is missing."""
    return (
        f"{', '.join(missing)} not found; install with: "
        f"sudo apt-get install {' '.join(packages)}"
    )


if __name__ == "__main__":
    print("\n".join([*SLURM, *BROWSER, *OFFSCREEN]))
