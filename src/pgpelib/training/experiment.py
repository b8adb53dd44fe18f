"""Train a policy with PGPE and ClipUp, as a Sacred experiment.

Examples
--------
    python train.py print_config
    python train.py -F results
    python train.py -F results with env_name=LunarLanderContinuous-v2 hidden='[]'
    python train.py -m IP:PORT:DATABASE
    python train.py -m 'mongodb://$MONGO_USER:$MONGO_PASSWORD@HOST/DATABASE'

    python train.py with settings.yaml popsize=200

By default, it trains HumanoidBulletEnv-v0 as in the ClipUp paper (arXiv 2008.02387).
With `run_dir=DIR`, an interrupted run can be resumed: the same command on the same
folder continues after the last completed generation.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import logging
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

from docopt import docopt
from sacred import SETTINGS
from sacred import Experiment as SacredExperiment
from sacred.config.config_dict import ConfigDict
from sacred.config.config_summary import ConfigSummary
from sacred.observers import FileStorageObserver
from sacred.run import Run
from sacred.utils import SacredError
from tqdm import tqdm

from pgpelib.training.command_line import (
    DESCRIPTIONS,
    as_updates,
    defaults_beside,
    read_settings,
    without_pairs,
)
from pgpelib.training.config import TrainingConfig
from pgpelib.training.credentials import HINT, has_literal_password
from pgpelib.training.estimates import format_duration, seconds_left
from pgpelib.training.loop import GenerationReport, Training
from pgpelib.utils.errors import message_of
from pgpelib.utils.interrupts import Interrupted, raise_interrupted

# Workers inherit file descriptors; capturing these would wait for the workers to exit.
SETTINGS.CAPTURE_MODE = "sys"
SETTINGS.CONFIG.READ_ONLY_CONFIG = False

# Set by the short logger: of a step's log, it shows the lines that begin with the name
# of the step.
SHORT = bool(os.environ.get("POSGGYM_ES_SHORT"))


class Experiment(SacredExperiment):
    """Sacred's experiment, with one-line messages for system errors like full disks."""

    def get_usage(self, program_name: str | None = None) -> tuple[str, str, str]:
        """Return descriptions of the command line by the script's name, see Sacred."""
        name = Path(program_name or sys.argv[0]).name
        # Sacred shows it relative to the folder of this module.
        return super().get_usage(str(Path(self.base_dir, name)))

    def run(self, *args: Any, **kwargs: Any) -> Run:
        """Run a command, see Sacred."""
        try:
            return super().run(*args, **kwargs)
        except OSError as error:
            raise SacredError(message_of(error), print_traceback=False) from error


ex = Experiment("pgpe", save_git_info=False)


class Defaults(ConfigDict):
    """The settings for Sacred, with defaults that can depend on given settings."""

    def __init__(self) -> None:
        super().__init__(defaults_beside({}))

    def __call__(
        self,
        fixed: dict[str, Any] | None = None,
        preset: dict[str, Any] | None = None,
        fallback: dict[str, Any] | None = None,
    ) -> ConfigSummary:
        """Return all settings of a run, see Sacred."""
        self._conf = defaults_beside(fixed or {})
        summary = super().__call__(fixed, preset, fallback)
        summary.docs |= DESCRIPTIONS
        return summary


ex.configurations.append(Defaults())


class LogFormatter(logging.Formatter):
    """Begins warnings and errors with a prefix."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self.prefix = ""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line."""
        line = super().format(record)
        return self.prefix + line if record.levelno >= logging.WARNING else line


formatter = LogFormatter()
handler = logging.StreamHandler()
handler.setFormatter(formatter)


class Progress:
    """Shows progress: a bar on a terminal, or one line per generation in a log file.

    Parameters
    ----------
    training
        The run.
    prefix
        What lines for the console begin with.
    """

    def __init__(self, training: Training, prefix: str) -> None:
        self._training = training
        self._prefix = prefix
        self._interactive = sys.__stderr__ is not None and sys.__stderr__.isatty()
        config = training.config
        self._niters = config.niters
        ends_early = config.target_return is not None or config.patience is not None
        self._at_most = "at most " if ends_early else ""
        self._times: list[float] = []
        self._bar = tqdm(disable=True)

    def begin(self) -> None:
        """Show an estimate, and start the clock: workers and kernels are ready."""
        training = self._training
        if not training.finished:
            workers = training.num_workers
            print(
                f"{self._prefix}{self._niters - training.generation} generations on "
                f"{workers} worker{'s' * (workers != 1)} will take {self._at_most}"
                f"{training.calibrate()}",
                flush=True,
            )
        self._bar = tqdm(
            total=self._niters,
            initial=training.generation,
            unit="gen",
            file=sys.__stderr__,
            disable=not self._interactive,
            dynamic_ncols=True,
        )
        self._times.append(time.monotonic())

    def report(self, rows: list[dict[str, Any]]) -> None:
        """Show a completed generation; numbers of several roles are joined by "/"."""
        metrics = rows[-1]
        re_evaluated = metrics["re_eval_mean"] is not None
        figures = {
            "steps/s": f"{metrics['steps_per_second']:,.0f}",
            "median": _numbers(rows, "pop_median"),
            "best": _numbers(rows, "pop_max"),
        }
        if re_evaluated:
            figures["mean return"] = _numbers(rows, "re_eval_mean")
        self._times.append(time.monotonic())
        self._bar.update()
        self._bar.set_postfix(figures)
        if not self._interactive:
            print(
                (self._prefix if re_evaluated else "")
                + f"generation {metrics['generation']}/{self._niters}: "
                + ", ".join(f"{name} {value}" for name, value in figures.items())
                + self._left(),
                flush=True,
            )

    def _left(self) -> str:
        training = self._training
        seconds = seconds_left(self._times, self._niters - training.generation)
        if training.finished or seconds is None:
            return ""
        return (
            f", {self._at_most}about {format_duration(seconds)} left at this episode "
            "length"
        )

    def close(self) -> None:
        """Leave the last state of the bar on the screen."""
        self._bar.close()


def _numbers(rows: list[dict[str, Any]], name: str) -> str:
    return "/".join("-" if row[name] is None else _number(row[name]) for row in rows)


def _number(value: float) -> str:
    return f"{value:.{1 if abs(value) >= 10 else 2}f}"


def event_writer(training: Training) -> Any:
    """Create a writer of TensorBoard event files in the run folder."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SacredError(
            f"tensorboard: needs the tensorboard package ({error})",
            print_traceback=False,
        ) from error
    # Hides events that an interrupted run wrote after its last completed generation.
    return SummaryWriter(
        str(training.run_dir / "tensorboard"), purge_step=training.generation + 1
    )


def choose_run_dir(run: Run, config: TrainingConfig) -> Path:
    """Return a folder for a run without `run_dir`."""
    for observer in run.observers:
        if isinstance(observer, FileStorageObserver) and observer.dir is not None:
            return Path(observer.dir) / "run"
    name = config.env_name.rpartition(":")[2]
    stamp = datetime.datetime.now().strftime("%Y_%m_%d_%H_%M_%S")
    # Keep the script's checkout clean: its folder for working state is `runs`.
    project = Path(sys.argv[0]).resolve().parents[2]
    inside = Path.cwd().is_relative_to(project)
    base = project / "runs" / "alone" if inside else Path("pgpe_runs")
    return base / f"{stamp}_{name}_{os.getpid()}"


def last_words(training: Training, run_dir: str | None) -> str:
    """Return how far an interrupted run got, and how to resume it."""
    done = training.saved_generation
    place = f"after generation {done}" if done else "in the first generation"
    option = "" if run_dir else f" with run_dir={training.run_dir}"
    return f"Interrupted {place}; run the same command{option} to resume."


@ex.main
def train(
    run_dir: str | None,
    tensorboard: bool,
    _config: dict[str, Any],
    _run: Run,
) -> float | None:
    """Train, and return the mean return of the last re-evaluation."""
    settings = json.loads(json.dumps(_config))
    del settings["run_dir"], settings["tensorboard"]
    try:
        config = TrainingConfig.from_dict(without_pairs(settings))
        folder = Path(run_dir) if run_dir else choose_run_dir(_run, config)
        training = Training(config, folder)
    except ValueError as error:
        # A wrong setting: a traceback would not help the user.
        raise SacredError(str(error), print_traceback=False) from error
    # Ray has replaced the handler of SIGTERM by its own.
    raise_interrupted()
    print(f"run folder: {training.run_dir}", flush=True)
    # The names of the experiment and the run.
    names = "/".join(training.run_dir.parts[-3:-1])
    formatter.prefix = f"{names}: " if SHORT else ""
    progress = Progress(training, formatter.prefix)
    writer = event_writer(training) if tensorboard else None
    last: list[float] = []

    def on_generation(report: GenerationReport) -> None:
        for metrics in report.metrics:
            prefix = f"agent{metrics['role']}." if metrics["role"] is not None else ""
            for name, value in metrics.items():
                if name not in ("generation", "role") and value is not None:
                    _run.log_scalar(prefix + name, value, metrics["generation"])
                    if writer is not None:
                        tag = prefix.replace(".", "/") + name
                        writer.add_scalar(tag, value, metrics["generation"])
            if metrics["re_eval_mean"] is not None:
                last[:] = [metrics["re_eval_mean"]]
        for path in report.saved_policies:
            _run.add_artifact(str(path))
        if writer is not None:
            writer.flush()
        progress.report(report.metrics)

    try:
        with training, contextlib.closing(progress):
            progress.begin()
            training.run(on_generation)
    except OSError:
        raise
    except Exception as error:
        # Sacred's filter of tracebacks fails on errors that come from workers.
        raise SacredError(str(error), filter_traceback="never") from error
    except Interrupted as interrupted:
        interrupted.message = last_words(training, run_dir)
        # Sacred would add a warning.
        _run.run_logger.setLevel(logging.ERROR)
        raise
    return last[0] if last else None


def take_database(arguments: list[str]) -> list[str]:
    """Connect to the database given by `-m`, and return the other arguments.

    Sacred itself takes a minute to notice that no server answers, does not support
    `mongodb://` URLs, and records the option, including a password.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-m", "--mongo_db")
    known, others = parser.parse_known_args(arguments)
    if known.mongo_db is not None:
        # Imported on demand: pymongo is optional.
        from pgpelib.training.mongo import DatabaseError, open_observer

        try:
            ex.observers.append(open_observer(known.mongo_db))
        except DatabaseError as error:
            sys.exit(f"train.py: {error}")
    return others


def take_settings(arguments: list[str]) -> list[str]:
    """Replace the settings among the arguments by literals, for Sacred."""
    usage = ex.get_usage()[2]
    # As in Sacred, options may follow the settings.
    updates = docopt(usage, arguments, default_help=False)["UPDATE"]
    if not updates:
        return arguments
    place = arguments.index("with")
    others = [arg for arg in arguments[place + 1 :] if arg not in updates]
    settings = as_updates(read_settings(updates))
    return [*arguments[:place], *others, "with", *settings]


def main(arguments: list[str]) -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    if any(has_literal_password(argument) for argument in arguments):
        sys.exit(f"train.py: a password on the command line: {HINT}")
    try:
        arguments = take_settings(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"train.py: {message_of(error)}")
    raise_interrupted()
    try:
        ex.run_commandline([sys.argv[0], *take_database(arguments)])
    except Interrupted as interrupted:
        print(interrupted.message, file=sys.stderr)
        sys.exit(interrupted.exit_code)
