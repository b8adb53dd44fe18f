"""The current state of all experiments, from the files that running jobs write."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pgpelib.training.estimates import RECENT, seconds_left
from pgpelib.training.run_folder import LOCK_FILE, METRICS_FILE
from pgpelib.utils.locks import is_locked
from posggym_es.config.experiments import Experiment, Experiments
from posggym_es.evaluation.file_names import VERIFICATION_FILE
from posggym_es.utils.text_tables import text_table


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """The progress of a training run, and of the steps after it.

    Parameters
    ----------
    experiment, run
        Names of its folders; `run` is "-" if policies were given.
    state
        "waiting", "training", "interrupted", "trained", "verified" or "registered".
    generation, niters
        Number of completed generations, and of all generations.
    fitness, re_eval
        Median fitness of the last population, and mean return of the last
        re-evaluation.
    steps_per_second
        Simulator steps per second of recent generations.
    eta
        Remaining seconds, while training.
    """

    experiment: str
    run: str
    state: str
    generation: int | None = None
    niters: int | None = None
    fitness: float | None = None
    re_eval: float | None = None
    steps_per_second: float | None = None
    eta: float | None = None


def statuses(experiments: Experiments, folder: Path) -> list[RunStatus]:
    """Return the state of each run of the selected experiments.

    Parameters
    ----------
    experiments
        The config.
    folder
        Working directory of Snakemake.
    """
    return [
        _run_status(
            experiments[name],
            run,
            folder / experiments.run_root,
            folder / experiments.results_root,
        )
        for name in experiments.selected
        # None if policies were given.
        for run in experiments[name].runs or (None,)
    ]


def _run_status(
    experiment: Experiment, label: str | None, runs: Path, results: Path
) -> RunStatus:
    runs = runs / experiment.name
    agents = [
        agent.label
        for agent in experiment.agents.values()
        if label is None or agent.run == label
    ]
    verified = all((runs / agent / VERIFICATION_FILE).exists() for agent in agents)
    if (results / experiment.name).exists() and verified:
        state = "registered"
    else:
        state = "verified" if verified else "waiting"
    if label is None:
        return RunStatus(experiment.name, "-", state)
    config = experiment.training_config(label)
    try:
        run = runs / label / f"run-{config.digest}"
    except ValueError:
        # Its partners are not trained yet.
        return RunStatus(experiment.name, label, state, 0, config.niters)
    if state == "waiting":
        if (runs / label / METRICS_FILE).exists():
            state = "trained"
        elif run.exists():
            state = "training" if is_locked(run / LOCK_FILE) else "interrupted"
    try:
        table = pd.read_csv(run / METRICS_FILE)
    except (FileNotFoundError, pd.errors.EmptyDataError):
        return RunStatus(experiment.name, label, state, 0, config.niters)
    if table.empty:
        return RunStatus(experiment.name, label, state, 0, config.niters)
    last = table.iloc[-1]
    recent = table[table.generation > last.generation - RECENT]
    evaluated = table.re_eval_mean.dropna()
    times = recent.groupby("generation").elapsed.max()
    eta = None
    if state == "training":
        eta = seconds_left(times.tolist(), int(config.niters - last.generation))
    return RunStatus(
        experiment.name,
        label,
        state,
        int(last.generation),
        config.niters,
        float(last.pop_median),
        float(evaluated.iloc[-1]) if len(evaluated) else None,
        float(recent.steps_per_second.median()),
        eta,
    )


def status_table(rows: Sequence[RunStatus]) -> str:
    """Format the states as a plain-text table."""
    headings = ["experiment", "run", "state", "generation", "fitness", "re-eval"]
    headings += ["steps/s", "ETA"]
    cells = [
        [
            row.experiment,
            row.run,
            row.state,
            "-" if row.niters is None else f"{row.generation}/{row.niters}",
            *(
                "-" if value is None else f"{value:,.1f}"
                for value in (row.fitness, row.re_eval)
            ),
            "-" if row.steps_per_second is None else f"{row.steps_per_second:,.0f}",
            "-" if row.eta is None else str(datetime.timedelta(seconds=round(row.eta))),
        ]
        for row in rows
    ]
    return text_table([headings, *cells], left=3)
