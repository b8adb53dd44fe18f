"""Hold a lock, with a record of this process, until the input ends.

python tests/helpers/hold_locks.py FOLDER
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from posggym_es.workflow.stale_locks import record_locks


def command(folder: Path) -> list[str | Path]:
    """Return the command that holds the lock of a folder."""
    return [sys.executable, __file__, folder]


def hold_and_end(folder: Path) -> None:
    """Leave the record of a process that held the lock and has ended."""
    subprocess.run(command(folder), stdin=subprocess.DEVNULL, check=True)


def main() -> None:
    """Hold the lock."""
    folder = Path(sys.argv[1])
    record_locks(folder, [folder / "locks" / "0.output.lock"])
    print("held", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
