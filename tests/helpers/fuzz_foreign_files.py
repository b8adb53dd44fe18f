#!/usr/bin/env python
"""Search for files that a reader cannot handle, guided by code coverage.

Needs atheris, which the tests do not: `pip install atheris`. An input that makes a
reader fail, differ from POSGGym's own loader, or take too long is written to the
working directory, and belongs into `tests/found_by_fuzzing/<kind>/`.

Examples
--------
    python tests/helpers/fuzz_foreign_files.py policy --seconds 360
    python tests/helpers/fuzz_foreign_files.py checkpoint_pickle --seconds 360

Targets are the kinds of files, and the pickles within archives and within tensors,
which checksums and lengths protect from a fuzzer that knows nothing of them.
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris
import torch

with atheris.instrument_imports(include=["pgpelib", "posggym_es"]):
    from foreign_files import (
        KINDS,
        READERS,
        SUFFIX,
        saved_part,
        valid_files,
        with_parameters,
        with_policy_class,
        with_saved_pickle,
    )
    from pgpelib.foreign import safe_pickle

from archive_tricks import parts_of, saved
from pickle_bombs import number_bombs, pickled, plain_bombs, storage, storage_bytes

# Larger inputs only take longer.
MAX_LENGTH = 32_768
# Seconds and megabytes of one input.
TIMEOUT, MEMORY = 10, 2048
# What is spent on an input before it is refused, so that thousands fit into a minute.
BUDGET = 5_000

# Each puts an input where a reader finds it: the reader's kind, and the whole file.
Target = tuple[str, Callable[[bytes], bytes], list[bytes]]


def targets(folder: Path) -> dict[str, Target]:
    """Return the targets by name, with the inputs to start from."""
    valid = valid_files(folder)
    small = [
        bomb.content
        for bombs in (plain_bombs(), number_bombs())
        for bomb in bombs.values()
        if len(bomb.content) < 2000
    ]
    archived = {
        kind: with_inner(kind, valid[kind], small) for kind in ("checkpoint", "sb3")
    }
    storages = [storage_bytes(), saved(torch.zeros(4).storage())]
    return {
        **{kind: (kind, lambda data: data, [valid[kind], *small]) for kind in KINDS},
        **{f"{kind}_pickle": target for kind, target in archived.items()},
        "sb3_class": (
            "sb3",
            lambda data: with_policy_class(valid["sb3"], data),
            small,
        ),
        "sb3_parameters": (
            "sb3",
            lambda data: with_parameters(valid["sb3"], data),
            [parts_of(valid["sb3"])["data"], b"[]"],
        ),
        "storage": ("model", lambda data: pickled(storage(data)), [*storages, *small]),
    }


def with_inner(kind: str, valid: bytes, small: list[bytes]) -> Target:
    """Return the target of the pickle of weights in an archive."""
    parts = parts_of(saved_part(kind, valid))
    (inner,) = [part for name, part in parts.items() if name.endswith("data.pkl")]
    return kind, lambda data: with_saved_pickle(kind, valid, data), [inner, *small]


def check(kind: str, content: bytes, path: Path) -> None:
    """Read a file; raise an error if the reader misbehaves."""
    path.write_bytes(content)
    read, refused = READERS[kind]
    try:
        result = read(path)
    except refused as error:
        message = str(error)
        if not message.startswith(f"{path}: ") or not message.isprintable():
            raise RuntimeError(
                f"not one line that names the file: {message!r}"
            ) from None
        return
    if kind != "model":
        return
    # What was found harmless is what POSGGym's own loader makes of it.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pickle.loads(content)
    for name, tensor in expected["weights"].items():
        if not torch.equal(result["weights"][name], tensor.float()):
            raise RuntimeError(f"{name} differs from what POSGGym's loader makes")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    inner = (
        *("checkpoint_pickle", "sb3_pickle", "sb3_class", "sb3_parameters"),
        "storage",
    )
    parser.add_argument("target", choices=[*KINDS, *inner])
    parser.add_argument("--seconds", type=int, default=360)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    safe_pickle.MAX_OPERATIONS = BUDGET
    safe_pickle.MAX_VALUES = BUDGET
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kind, wrap, seeds = targets(folder)[args.target]
        start = folder / "start"
        start.mkdir()
        for number, seed in enumerate(seeds):
            (start / str(number)).write_bytes(seed)
        path = folder / f"fuzzed{SUFFIX[kind]}"
        options = {
            "max_total_time": args.seconds,
            "seed": args.seed,
            "max_len": MAX_LENGTH,
            "timeout": TIMEOUT,
            "rss_limit_mb": MEMORY,
            "print_final_stats": 1,
        }
        atheris.Setup(
            [sys.argv[0], *(f"-{k}={v}" for k, v in options.items()), str(start)],
            lambda data: check(kind, wrap(data), path),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
