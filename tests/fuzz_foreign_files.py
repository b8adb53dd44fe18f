#!/usr/bin/env python
"""Read damaged policy files: each has to be refused with the reader's own error.

Examples
--------
    python tests/fuzz_foreign_files.py --inputs 100000
    python tests/fuzz_foreign_files.py --kind checkpoint --seed 7
"""

from __future__ import annotations

import argparse
import collections
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from tqdm import tqdm

from foreign_files import KINDS, READERS, SUFFIX, bombs, mutated, valid_files


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--kind", choices=KINDS, nargs="+", default=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(args.seed)
    outcomes: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        valid = valid_files(folder)
        pieces = [*valid.values(), *bombs().values()]
        for number in tqdm(range(args.inputs), unit="file", disable=None):
            kind = args.kind[number % len(args.kind)]
            content = mutated(valid[kind], pieces, rng)
            path = folder / f"fuzzed{SUFFIX[kind]}"
            path.write_bytes(content)
            read, refused = READERS[kind]
            try:
                read(path)
                outcomes["read"] += 1
            except refused as error:
                if path.name not in str(error):
                    fail(content, kind, error)
                outcomes["refused"] += 1
            except BaseException as error:
                fail(content, kind, error)
    print(f"{args.inputs:,} inputs: {dict(outcomes)}")


def fail(content: bytes, kind: str, error: BaseException) -> None:
    path = Path(f"failed{SUFFIX[kind]}").resolve()
    path.write_bytes(content)
    sys.exit(f"{kind}: {type(error).__name__}: {error}; the input is in {path}")


if __name__ == "__main__":
    main()
