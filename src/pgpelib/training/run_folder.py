"""What a run folder holds, and how it is read and written."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pgpelib.utils.files import (
    named_errors,
    read_json,
    write_bytes,
    write_json,
    write_text,
)
from pgpelib.utils.plain_data import is_integer

RUN_FILE = "run.json"
LOCK_FILE = "lock"
STATE_FILE = "state.npz"
METRICS_FILE = "metrics.csv"
POLICIES_FOLDER = "policies"

METRIC_COLUMNS = [
    "generation",
    "role",
    "pop_median",
    "pop_mean",
    "pop_min",
    "pop_max",
    "pop_q25",
    "pop_q75",
    "popsize",
    "pop_failed",
    "pop_timesteps",
    "timesteps",
    "pop_elapsed",
    "elapsed",
    "steps_per_second",
    "stdev_min",
    "stdev_max",
    "stdev_mean",
    "re_eval_mean",
    "re_eval_median",
    "re_eval_min",
    "re_eval_max",
    "re_eval_stdev",
]

State = Mapping[str, npt.NDArray[Any]]
# Stands in names of policy files.
_DATE = re.compile(r"\d{4}(_\d\d){5}")


class DamagedRunError(ValueError):
    """A file of a run folder that is not what training left there; names the file."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path}: {reason}; the run cannot be resumed: restore the file from a "
            "copy, or choose another run_dir"
        )


@dataclasses.dataclass(frozen=True)
class RunIdentity:
    """What `run.json` says: which run the folder holds.

    Parameters
    ----------
    digest
        `TrainingConfig.digest` of the run.
    date, pid
        When and by which process the run was started; both are part of the names of its
        policy files.
    commit
        Version of this project that began it, see `source_commit`.
    config
        `TrainingConfig.to_dict` of the run.
    compiled
        Whether compiled kernels play its episodes. Their networks round differently, so
        a run stays with what it began with; runs of earlier versions have none.
    """

    digest: str
    date: str
    pid: int
    commit: str | None
    config: dict[str, Any]
    compiled: bool = False

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return int(self.config["seed"])


def read_identity(run_dir: Path) -> RunIdentity | None:
    """Return which run a folder holds; None for a folder without one.

    Raises
    ------
    DamagedRunError
        If `run.json` is damaged, or missing beside other files of a run.
    """
    path = run_dir / RUN_FILE
    if not path.exists():
        for name in (STATE_FILE, METRICS_FILE):
            if (run_dir / name).exists():
                raise DamagedRunError(path, f"missing, although there is {name}")
        return None
    try:
        identity = RunIdentity(**read_json(path))
    except (ValueError, TypeError) as error:
        raise DamagedRunError(path, "damaged") from error
    if not (
        isinstance(identity.digest, str)
        and isinstance(identity.date, str)
        and _DATE.fullmatch(identity.date)
        and is_integer(identity.pid)
        and isinstance(identity.commit, str | None)
        and isinstance(identity.config, dict)
        and isinstance(identity.compiled, bool)
        and is_integer(identity.config.get("seed"))
    ):
        raise DamagedRunError(path, "damaged")
    return identity


def write_identity(run_dir: Path, identity: RunIdentity) -> None:
    """Write `run.json`."""
    write_json(run_dir / RUN_FILE, dataclasses.asdict(identity))


def write_state(run_dir: Path, state: State) -> None:
    """Replace `state.npz`; it is durable when this returns."""
    # Not into the file itself: zipfile complains once more after a full disk.
    archive = io.BytesIO()
    np.savez(archive, **state)
    write_bytes(run_dir / STATE_FILE, archive.getvalue())


def read_state(run_dir: Path, expected: State) -> State | None:
    """Read `state.npz`; None for a run without a completed generation.

    Parameters
    ----------
    run_dir
        The run folder.
    expected
        Arrays with the names and shapes of those that the run writes.

    Raises
    ------
    DamagedRunError
        If the file is damaged, or another run's.
    """
    path = run_dir / STATE_FILE
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as archive:
            state = dict(archive)
    # NumPy and zipfile have a dozen kinds of errors for damaged files.
    except Exception as error:
        raise DamagedRunError(path, "damaged") from error
    if {name: array.shape for name, array in state.items()} != {
        name: array.shape for name, array in expected.items()
    }:
        raise DamagedRunError(path, "has other arrays than this run")
    for name, array in state.items():
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise DamagedRunError(path, f"{name} is not made of finite numbers")
    return state


def append_metrics(run_dir: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to `metrics.csv`; they are durable when this returns."""
    path = run_dir / METRICS_FILE
    with (
        named_errors(path),
        path.open("a", newline="", encoding="utf-8") as file,
    ):
        csv.DictWriter(file, METRIC_COLUMNS, lineterminator="\n").writerows(rows)
        file.flush()
        os.fsync(file.fileno())


def trim_metrics(
    run_dir: Path, generation: int, roles: Sequence[str | None]
) -> list[dict[str, Any]]:
    """Drop rows of a generation whose state did not make it to disk; return the others.

    Rows are durable before the state of their generation is written, so all completed
    generations have theirs, whenever a run was killed.

    Parameters
    ----------
    run_dir
        The run folder.
    generation
        Completed generations.
    roles
        Each has a row in each generation, in this order.

    Raises
    ------
    DamagedRunError
        If rows of completed generations are missing or damaged, or there are rows of
        later generations than one that was interrupted.
    """
    path = run_dir / METRICS_FILE
    rows = _read_rows(path) if path.exists() else []
    expected = [
        (str(n), role or "") for n in range(1, generation + 1) for role in roles
    ]
    completed, rest = rows[: len(expected)], rows[len(expected) :]
    for place, row in itertools.zip_longest(expected, completed):
        if row is None or (row["generation"], row["role"]) != place:
            raise DamagedRunError(path, f"generation {place[0]} is missing or damaged")
        if not _is_complete(row):
            raise DamagedRunError(path, f"generation {place[0]} is damaged")
    for row in rest:
        number = row["generation"]
        if number.isdigit() and int(number) > generation + 1:
            raise DamagedRunError(
                run_dir / STATE_FILE,
                f"has generation {generation}, but {METRICS_FILE} generation {number}",
            )
    text = io.StringIO()
    writer = csv.DictWriter(text, METRIC_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(completed)
    write_text(path, text.getvalue())
    return completed


def _read_rows(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8")
        # A crash may leave a part of the last row, without the end of its line.
        reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedRunError(path, "damaged") from error
    if reader.fieldnames != METRIC_COLUMNS:
        raise DamagedRunError(path, "the line with the names of columns is damaged")
    return rows


def _is_complete(row: Mapping[str, Any]) -> bool:
    """Return whether a row has a number, or nothing, in each column."""
    # What is beyond the last column is under None, and so are missing values.
    values = [value for name, value in row.items() if name != "role"]
    if None in row or None in values:
        return False
    try:
        for value in values:
            float(value or 0)
    except ValueError:
        return False
    return True
