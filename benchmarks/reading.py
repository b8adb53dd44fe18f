"""Time of reading POSGGym policy files as data, against unpickling them.

Example
-------
    python benchmarks/reading.py ../posggym-agent-models

Only name files that you trust: `pickle` executes what they say.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from posggym_es.models.posggym_model_file import read_model_file, typed_storages


@typed_storages()
def unpickle(path: Path) -> object:
    """Read a file as POSGGym's loader does."""
    return pickle.loads(path.read_bytes())


def milliseconds(read: Callable[[Path], object], path: Path, repeats: int) -> float:
    """Return the median time of reading a file that was read before."""
    read(path)
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        read(path)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def main() -> None:
    """Read every file both ways and print the times."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="+", help="holds `.pkl` files")
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    paths = sorted(path for folder in args.folder for path in folder.rglob("*.pkl"))
    if not paths:
        sys.exit(f"no .pkl files in {', '.join(map(str, args.folder))}")
    safe = [milliseconds(read_model_file, path, args.repeats) for path in paths]
    ratios = [
        ours / milliseconds(unpickle, path, args.repeats)
        for ours, path in zip(safe, paths, strict=True)
    ]
    print(
        f"{len(paths)} files: mean {statistics.mean(safe):.2f} ms, median "
        f"{statistics.median(safe):.2f} ms, slowest {max(safe):.2f} ms; over "
        f"unpickling: median {statistics.median(ratios):.1f}, most {max(ratios):.1f}"
    )


if __name__ == "__main__":
    main()
