"""Train the paper's results from scratch, resuming whatever is unfinished.

The runs are listed in `benchmarks/headline/runs.yaml`. Each is trained in a working
folder at the lowest priority. Its state is kept beside `runs.yaml`, in git, so that any
machine can resume it. What was trained further counts: the kept state or the working
folder's.

Examples
--------
    python benchmarks/headline.py --status
    python benchmarks/headline.py --hours 3
    python benchmarks/headline.py --only walker2d_seed1 --cpus 2
    python benchmarks/headline.py --adopt walker2d_seed0=my_runs/walker2d_seed0
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from draw_curve import draw

from pgpelib.foreign.config_text import read_config_file
from pgpelib.training.config import TrainingConfig
from pgpelib.training.loop import GenerationReport, Training
from pgpelib.training.run_folder import (
    METRICS_FILE,
    POLICIES_FOLDER,
    RUN_FILE,
    STATE_FILE,
)
from pgpelib.utils.files import read_json, write_bytes
from posggym_es.config.experiments import Experiments
from posggym_es.config.workflow_config import read_config

ROOT = Path(__file__).resolve().parent.parent
POLICY_FILE = "policy.pickle"
LOWEST_PRIORITY = 19


@dataclasses.dataclass(frozen=True)
class HeadlineRun:
    """One seed of a headline result.

    Parameters
    ----------
    name
        Name of its folders, such as `walker2d_seed0`.
    config
        What is trained.
    kept
        Folder in the repository that holds its state.
    work
        Folder that it is trained in.
    """

    name: str
    config: TrainingConfig
    kept: Path
    work: Path

    @property
    def timesteps(self) -> int:
        """Simulator steps of the kept state; 0 if there is none."""
        return trained_steps(self.kept)

    @property
    def generation(self) -> int:
        """Completed generations of the kept metrics."""
        metrics = self.kept / METRICS_FILE
        if not metrics.exists():
            return 0
        lines = metrics.read_text(encoding="utf-8").splitlines()[1:]
        return int(lines[-1].partition(",")[0]) if lines else 0

    @property
    def is_finished(self) -> bool:
        """Whether all generations are trained."""
        return self.generation >= self.config.niters

    def check(self, folder: Path) -> None:
        """Refuse the folder of a run with other settings.

        Raises
        ------
        ValueError
            If the folder holds one.
        """
        path = folder / RUN_FILE
        if path.exists() and read_json(path)["digest"] != self.config.digest:
            raise ValueError(
                f"{path}: a run with other settings than {self.name}, whose digest is "
                f"{self.config.digest}"
            )

    def keep(self, source: Path) -> None:
        """Copy what resuming needs from a run folder, which may be training.

        The state is read first: metrics then have its generation at least, and those
        of later ones are dropped when the run resumes. It is written last, so that the
        metrics kept are never behind the state.

        Raises
        ------
        ValueError
            If the folder holds no state, or a run with other settings.
        """
        if not (source / STATE_FILE).exists():
            raise ValueError(f"{source}: no {STATE_FILE}; not the folder of a run")
        self.check(source)
        state = (source / STATE_FILE).read_bytes()
        metrics = (source / METRICS_FILE).read_bytes()
        # The last line may be half written.
        write_bytes(self.kept / METRICS_FILE, metrics[: metrics.rindex(b"\n") + 1])
        write_bytes(self.kept / RUN_FILE, (source / RUN_FILE).read_bytes())
        policies = sorted(
            (source / POLICIES_FOLDER).glob("*.pickle"),
            key=lambda path: int(path.stem.rpartition("iter")[2]),
        )
        if policies:
            write_bytes(self.kept / POLICY_FILE, policies[-1].read_bytes())
        write_bytes(self.kept / STATE_FILE, state)

    def restore(self) -> None:
        """Copy the kept state to the working folder if it is more advanced.

        Raises
        ------
        ValueError
            If the working folder holds a run with other settings.
        """
        self.check(self.work)
        if self.timesteps > trained_steps(self.work):
            for name in (METRICS_FILE, RUN_FILE, STATE_FILE):
                write_bytes(self.work / name, (self.kept / name).read_bytes())


def trained_steps(folder: Path) -> int:
    """Return the simulator steps of a run folder's state; 0 if it has none."""
    path = folder / STATE_FILE
    if not path.exists():
        return 0
    with np.load(path, allow_pickle=False) as state:
        return int(state["timesteps"])


@dataclasses.dataclass(frozen=True)
class Result:
    """A published score and the runs that should reach it.

    Parameters
    ----------
    name
        Name of its curve's file.
    title
        Heading of the curve.
    published
        Mean return of the published agent.
    runs
        One for each seed.
    """

    name: str
    title: str
    published: float
    runs: list[HeadlineRun]

    def draw(self, folder: Path) -> None:
        """Draw the curves of what is trained so far, if anything is."""
        tables = [run.kept / METRICS_FILE for run in self.runs if run.generation]
        if tables:
            draw(tables, self.title, self.published, folder / f"{self.name}.png")


def load_results(
    runs_file: Path, config_file: Path, work: Path, cpus: int
) -> list[Result]:
    """Return the headline results.

    Parameters
    ----------
    runs_file
        The list, `runs.yaml`; states are kept beside it.
    config_file
        The pipeline's config, which has the settings of the experiments.
    work
        Folder that is trained in.
    cpus
        Worker processes; -1 for all cores.

    Raises
    ------
    ValueError
        If a kept run has other settings.
    """
    experiments = Experiments(read_config(read_config_file(config_file)))
    entries: dict[str, Any] = yaml.safe_load(runs_file.read_text(encoding="utf-8"))
    results = []
    for name, entry in entries.items():
        runs = []
        experiment = experiments[entry["experiment"]]
        for seed in entry["seeds"]:
            # The experiment itself may have other seeds.
            config = experiment.training_config(next(iter(experiment.runs)))
            config = config.model_copy(update={"num_cpus": cpus, "seed": seed})
            folder = f"{name}_seed{seed}"
            kept = runs_file.parent / folder
            run = HeadlineRun(folder, config, kept, work / folder)
            run.check(kept)
            runs.append(run)
        results.append(Result(name, entry["title"], float(entry["published"]), runs))
    return results


def train(
    run: HeadlineRun,
    minutes: float,
    deadline: float,
    on_copy: Callable[[], object] = lambda: None,
) -> None:
    """Train one run until it is finished, the time is over, or it is interrupted.

    Parameters
    ----------
    run
        The run.
    minutes
        Time between two copies of its state.
    deadline
        Time of `time.monotonic()` after which no generation begins.
    on_copy
        Called after each copy.
    """
    run.restore()
    copied = time.monotonic()

    def copy() -> None:
        # States are written beside the next generation: at first there may be none.
        if trained_steps(run.work):
            run.keep(run.work)
            on_copy()

    def on_generation(report: GenerationReport) -> None:
        nonlocal copied
        print(progress(run, report), flush=True)
        if time.monotonic() >= copied + 60 * minutes:
            copy()
            copied = time.monotonic()

    try:
        with Training(run.config, run.work) as training:
            training.run(on_generation, deadline=deadline)
    finally:
        copy()


def progress(run: HeadlineRun, report: GenerationReport) -> str:
    """Return one line about a generation."""
    metrics = report.metrics[-1]
    line = (
        f"{run.name}: generation {metrics['generation']}/{run.config.niters}, "
        f"{metrics['timesteps']:,} steps, {metrics['steps_per_second']:,.0f} steps/s, "
        f"median {metrics['pop_median']:.1f}"
    )
    if metrics["re_eval_mean"] is not None:
        line += f", re-evaluation {metrics['re_eval_mean']:.1f}"
    return line


def status(runs: Iterable[HeadlineRun]) -> str:
    """Return a line about the progress of each run."""
    return "\n".join(
        f"{run.name}: generation {run.generation}/{run.config.niters}, "
        f"{run.timesteps:,} steps{', finished' if run.is_finished else ''}"
        for run in runs
    )


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", action="append", metavar="RUN", help="a run; can be repeated")
    add("--hours", type=float, default=float("inf"), help="stop after this long")
    add("--minutes", type=float, default=30.0, help="between copies of the state")
    add("--cpus", type=int, default=-1, help="worker processes (-1: all cores)")
    add("--status", action="store_true", help="only say how far the runs are")
    add("--adopt", metavar="RUN=DIR", help="only keep a run folder from elsewhere")
    folder = ROOT / "benchmarks" / "headline"
    add("--runs", type=Path, default=folder / "runs.yaml", help="list of runs")
    add("--config", type=Path, default=ROOT / "config" / "config.yaml")
    add("--work", type=Path, default=ROOT / "runs" / "headline")
    return parser.parse_args()


def adopt(run: HeadlineRun, source: Path) -> None:
    """Keep the state of a run that was trained elsewhere.

    Raises
    ------
    ValueError
        If its settings are not those of the run, or the kept state is the further one.
    """
    if trained_steps(source) < run.timesteps:
        raise ValueError(f"{source}: {run.kept} is further; nothing is adopted")
    run.keep(source)


def main() -> None:
    """Run the command line."""
    args = parse_arguments()
    deadline = time.monotonic() + 3600 * args.hours
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        results = load_results(args.runs, args.config, args.work, args.cpus)
        runs = {run.name: run for result in results for run in result.runs}
        adopted, _, source = (args.adopt or "").partition("=")
        asked = [adopted] if args.adopt else args.only or list(runs)
        if unknown := set(asked) - set(runs):
            raise ValueError(
                f"unknown run {', '.join(sorted(unknown))}; "
                f"{args.runs} has {', '.join(runs)}"
            )
        if args.adopt:
            adopt(runs[adopted], Path(source))
        elif not args.status:
            os.nice(LOWEST_PRIORITY)
            # As when the terminal is closed: the state is kept, too.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))

            def draw_all() -> None:
                for result in results:
                    result.draw(args.runs.parent)

            draw_all()
            for name in asked:
                if not runs[name].is_finished:
                    train(runs[name], args.minutes, deadline, draw_all)
        print(status(runs[name] for name in asked))
    except ValueError as error:
        sys.exit(f"headline.py: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; the state is kept")


if __name__ == "__main__":
    main()
