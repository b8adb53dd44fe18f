#!/usr/bin/env python
"""Read the bad files of a kind with limited time and memory; report each as JSON.

The limits are the system's: a file that takes too much ends this process, and the last
line says which one it was.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
import warnings
from pathlib import Path

from foreign_files import READERS, SUFFIX, corpus

# Processor seconds of one file, which takes a fraction of one.
SECONDS = 20
# Beyond what Python and PyTorch have mapped by then, and the largest file itself.
BYTES = 512 * 2**20


def main(kind: str, folder: Path) -> None:
    warnings.simplefilter("ignore")
    cases = list(corpus(kind, folder, folder / "executed"))
    mapped = int(Path("/proc/self/statm").read_text().split()[0])
    limit = mapped * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    read, refused = READERS[kind]
    path = folder / f"bad{SUFFIX[kind]}"
    for case in cases:
        print(json.dumps({"name": case.name, "reason": case.reason}), flush=True)
        path.write_bytes(case.content)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            read(path)
            message = None
        except refused as error:
            message = str(error)
        print(json.dumps({"name": case.name, "message": message}), flush=True)
    signal.setitimer(signal.ITIMER_PROF, 0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
