"""Reading and writing the files of a run folder."""

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
# Part of the names of policy files.
_DATE = re.compile(r"\d{4}(_\d\d){5}")


class DamagedRunError(ValueError):
    """A file of a run folder is damaged or missing; the message names it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path}: {reason}; the run cannot be resumed: restore the file from a "
            "copy, or choose another run_dir"
        )


@dataclasses.dataclass(frozen=True)
class RunIdentity:
    """Contents of `run.json`, which identifies the run in a folder.

    Parameters
    ----------
    digest
        `TrainingConfig.digest` of the run.
    date, pid
        Date and process id of the run's start; both are part of the names of its policy
        files.
    commit
        Commit of this project at the run's start, see `source_commit`.
    config
        `TrainingConfig.to_dict` of the run.
    compiled
        Whether compiled kernels play its episodes. Their networks round differently, so
        a run never changes this; runs of earlier versions do not use kernels.
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
    """Read `run.json`; return None for a folder without a run.

    Raises
    ------
    DamagedRunError
        If `run.json` is damaged, or missing although there are other files of a run.
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
    """Replace `state.npz` atomically; it is durable when this returns."""
    # Via memory: on a full disk, zipfile would raise a second error when closing.
    archive = io.BytesIO()
    np.savez(archive, **state)
    write_bytes(run_dir / STATE_FILE, archive.getvalue())


def read_state(run_dir: Path, expected: State) -> State | None:
    """Read `state.npz`; return None if no generation is complete.

    Parameters
    ----------
    run_dir
        The run folder.
    expected
        Arrays with the expected names and shapes.

    Raises
    ------
    DamagedRunError
        If the file is damaged or belongs to another run.
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
        raise DamagedRunError(path, "its arrays are not those of this run")
    for name, array in state.items():
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise DamagedRunError(path, f"{name} does not consist of finite numbers")
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
    """Remove the rows of an interrupted generation; return the rows that remain.

    A generation's rows are durable before its state is written. So whenever a run is
    killed, `metrics.csv` has the rows of all completed generations, and perhaps those
    of one more.

    Parameters
    ----------
    run_dir
        The run folder.
    generation
        Number of completed generations.
    roles
        The roles that have a row per generation, in this order.

    Raises
    ------
    DamagedRunError
        If rows of completed generations are missing or damaged, or if there are rows
        of generations after the interrupted one.
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
                f"is from generation {generation}, but {METRICS_FILE} has generation "
                f"{number}",
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
        # A crash may leave an incomplete last row, without a line break.
        reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DamagedRunError(path, "damaged") from error
    if reader.fieldnames != METRIC_COLUMNS:
        raise DamagedRunError(path, "the header is damaged")
    return rows


def _is_complete(row: Mapping[str, Any]) -> bool:
    """Return whether each column of a row has a number or is empty."""
    # DictReader stores surplus values under None, and gives missing ones as None.
    values = [value for name, value in row.items() if name != "role"]
    if None in row or None in values:
        return False
    try:
        for value in values:
            float(value or 0)
    except ValueError:
        return False
    return True
