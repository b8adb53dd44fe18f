#!/usr/bin/env python
"""Train a policy with PGPE and ClipUp, as a Sacred experiment.

Examples
--------
    python train.py print_config
    python train.py -F results
    python train.py -F results with env_name=LunarLanderContinuous-v2 hidden='[]'
    python train.py -m IP:PORT:DATABASE
    python train.py -m 'mongodb://$MONGO_USER:$MONGO_PASSWORD@HOST/DATABASE'

    python train.py with settings.yaml popsize=200

Without further settings it trains HumanoidBulletEnv-v0 as in the ClipUp paper
(arXiv 2008.02387). Give `run_dir=DIR` to be able to resume after an interruption: the
same command on the same folder continues after the last completed generation.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

# Before Sacred, which loads NumPy, which reads its number of threads then.
import pgpelib.utils.threads  # noqa: F401

warnings.filterwarnings("ignore", message="pkg_resources is deprecated")

from docopt import docopt
from sacred import SETTINGS
from sacred import Experiment as SacredExperiment
from sacred.observers import FileStorageObserver
from sacred.run import Run
from sacred.utils import SacredError
from tqdm import tqdm

from pgpelib.training.command_line import as_updates, read_settings
from pgpelib.training.config import TrainingConfig
from pgpelib.training.credentials import HINT, has_literal_password
from pgpelib.training.loop import GenerationReport, Training

# Workers inherit file descriptors; capturing at that level would wait for them.
SETTINGS.CAPTURE_MODE = "sys"
SETTINGS.CONFIG.READ_ONLY_CONFIG = False

PROJECT = Path(__file__).resolve().parents[2]


class Experiment(SacredExperiment):
    """Sacred's experiment, with a line instead of a traceback for full disks etc."""

    def run(self, *args: Any, **kwargs: Any) -> Run:
        """Run a command, see Sacred."""
        try:
            return super().run(*args, **kwargs)
        except OSError as error:
            raise SacredError(message_of(error), print_traceback=False) from error


def message_of(error: Exception) -> str:
    """Return what is wrong, in one line."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


ex = Experiment("pgpe", save_git_info=False)


@ex.config
def default_config() -> None:
    # Names and defaults of the original trainer. Sacred evaluates this function:
    # settings given on the command line also change those that are derived from them.
    # It shows the comments beside the values (and would take a docstring as a setting).

    # Gymnasium id that gives fitnesses, or posggym:ID for self-play in POSGGym
    env_name = "tinytraj_humanoid_bullet:TinyTrajHumanoidBulletEnv-v0"
    env_config = {}  # keyword arguments of the environment
    # environment of re-evaluations; None: the standard form of the training one
    re_eval_env_name = None
    # sizes of the hidden layers; []: linear policy (or hidden_size and num_hidden)
    hidden = [64]
    activation = "tanh"  # tanh or relu
    lstm_size = 0  # cells of an LSTM after the hidden layers; 0: none
    head = []  # sizes of the hidden layers after the LSTM
    roles = []  # POSGGym agent ids with policies of their own; []: one for all agents
    partners = []  # registered policies to play with, for a best response
    obs_norm = True  # normalise observations by their running statistics
    # steps of a training episode; -1: the environment's own limit, if it has one
    max_episode_length = -1
    decrease_rewards_by = 0.0  # subtracted from each training reward
    niters = 1000  # generations
    popsize = 10000  # solutions asked for at a time
    popsize_max = 8 * popsize  # most solutions of a generation; -1: no limit
    # simulator steps of a generation, at least; -1: popsize solutions, however long
    num_interactions = int(popsize * 200 * 0.75)
    episodes_per_solution = 1  # a fitness is the mean return of so many episodes
    common_seeds = False  # all solutions of a generation play the same episodes
    max_speed = 0.15  # ClipUp: bound on the velocity
    center_lr = max_speed / 2  # step size
    optimizer = "clipup"  # clipup or adam
    radius = 15 * max_speed  # stdev_init = sqrt(radius^2 / n_params)
    stdev_lr = 0.1  # learning rate of the standard deviations
    stdev_max_change = 0.2  # largest relative change of a stdev in one update; -1: any
    max_speed_decay = 1.0  # factor of max_speed and center_lr after each generation
    stdev_decay = 1.0  # factor of the standard deviations after each generation
    solution_ranking = True  # centered ranks as fitnesses
    re_eval_interval = 10  # generations between re-evaluations; 0: only at the end
    re_eval_num_episodes = 16  # episodes of a re-evaluation
    keep_best = False  # save the center with the best re-evaluation so far
    target_return = None  # end when the mean of a re-evaluation reaches this
    # give up the search after so many re-evaluations without a better one; -1: never
    patience = -1
    restarts = 0  # searches that follow one that was given up
    save_interval = 10  # generations between saved policies
    num_cpus = -1  # worker processes (with slurm of each node); -1: all cores
    engine = "local"  # local, ray (the cluster that RAY_ADDRESS names) or slurm
    worker_timeout = 3600.0  # seconds without a result before workers are replaced
    tensorboard = False  # also write TensorBoard's event files
    run_dir = None  # folder to work in, and to resume from after an interruption


class Progress:
    """A progress bar on a terminal, one line a generation in a log file.

    Parameters
    ----------
    training
        The run to show.
    """

    def __init__(self, training: Training) -> None:
        self._interactive = sys.__stderr__ is not None and sys.__stderr__.isatty()
        self._niters = training.config.niters
        self._bar = tqdm(
            total=self._niters,
            initial=training.generation,
            unit="gen",
            file=sys.__stderr__,
            disable=not self._interactive,
            dynamic_ncols=True,
        )

    def report(self, rows: list[dict[str, Any]]) -> None:
        """Show a completed generation, the figures of several roles with slashes."""
        metrics = rows[-1]
        shown = {
            "steps/s": f"{metrics['steps_per_second']:,.0f}",
            "median": _numbers(rows, "pop_median"),
            "best": _numbers(rows, "pop_max"),
        }
        if metrics["re_eval_mean"] is not None:
            shown["re-eval"] = _numbers(rows, "re_eval_mean")
        self._bar.update()
        self._bar.set_postfix(shown)
        if not self._interactive:
            rate = metrics["elapsed"] / metrics["generation"]
            left = rate * (self._niters - metrics["generation"])
            print(
                f"generation {metrics['generation']}/{self._niters}: "
                + ", ".join(f"{name} {value}" for name, value in shown.items())
                + f", ETA {datetime.timedelta(seconds=round(left))}",
                flush=True,
            )

    def close(self) -> None:
        """Leave the last state of the bar on the screen."""
        self._bar.close()


def _numbers(rows: list[dict[str, Any]], name: str) -> str:
    values = [row[name] for row in rows]
    return "/".join("-" if value is None else f"{value:.1f}" for value in values)


def event_writer(training: Training) -> Any:
    """Return a writer of TensorBoard's files in the run folder."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SacredError(
            f"tensorboard: needs the package tensorboard ({error})",
            print_traceback=False,
        ) from error
    # What an interrupted run wrote beyond its last completed generation is hidden.
    return SummaryWriter(
        str(training.run_dir / "tensorboard"), purge_step=training.generation + 1
    )


def choose_run_dir(run: Run, config: TrainingConfig) -> Path:
    """Return the folder of a run that was started without `run_dir`."""
    for observer in run.observers:
        if isinstance(observer, FileStorageObserver) and observer.dir is not None:
            return Path(observer.dir) / "run"
    name = config.env_name.rpartition(":")[2]
    stamp = datetime.datetime.now().strftime("%Y_%m_%d_%H_%M_%S")
    # Not among the files of this project, where working state has a folder.
    inside = Path.cwd().is_relative_to(PROJECT)
    base = PROJECT / "runs" / "alone" if inside else Path("pgpe_runs")
    return base / f"{stamp}_{name}_{os.getpid()}"


@ex.main
def train(
    env_config: dict[str, Any],
    run_dir: str | None,
    tensorboard: bool,
    _config: dict[str, Any],
    _run: Run,
) -> float | None:
    """Train, and return the mean return of the last re-evaluation."""
    # Sacred accepts new keys only in settings that the signature names: env_config.
    settings = json.loads(json.dumps({**_config, "env_config": env_config}))
    del settings["run_dir"], settings["tensorboard"]
    try:
        config = TrainingConfig.from_dict(settings)
        folder = Path(run_dir) if run_dir else choose_run_dir(_run, config)
        training = Training(config, folder)
    except ValueError as error:
        # A wrong setting: the message is for the user, a traceback is not.
        raise SacredError(str(error), print_traceback=False) from error
    print(f"run folder: {training.run_dir}", flush=True)
    progress = Progress(training)
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

    with training, contextlib.closing(progress):
        if not training.finished:
            print(
                f"{config.niters - training.generation} generations on "
                f"{training.num_workers} workers will take {training.calibrate()}",
                flush=True,
            )
        try:
            training.run(on_generation)
        except OSError:
            raise
        except Exception as error:
            # Sacred's filter of tracebacks fails on errors that come from workers.
            raise SacredError(str(error), filter_traceback="never") from error
    return last[0] if last else None


def take_database(arguments: list[str]) -> list[str]:
    """Connect to the database of `-m`, and return the other arguments.

    Sacred itself would find out after a minute that no server answers, knows no
    `mongodb://` URLs, and writes the option, with the password in it, to its records.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-m", "--mongo_db")
    known, others = parser.parse_known_args(arguments)
    if known.mongo_db is not None:
        # Only installed where a database is used.
        from pgpelib.training.mongo import DatabaseError, open_observer

        try:
            ex.observers.append(open_observer(known.mongo_db))
        except DatabaseError as error:
            sys.exit(f"train.py: {error}")
    return others


def take_settings(arguments: list[str]) -> list[str]:
    """Return the arguments with the settings among them as literals, for Sacred."""
    usage = ex.get_usage()[2]
    # As Sacred does: options may stand behind the settings.
    updates = docopt(usage, arguments, default_help=False)["UPDATE"]
    if not updates:
        return arguments
    place = arguments.index("with")
    others = [arg for arg in arguments[place + 1 :] if arg not in updates]
    settings = as_updates(read_settings(updates))
    return [*arguments[:place], *others, "with", *settings]


def main(arguments: list[str]) -> None:
    """Run the command that the arguments say."""
    if any(has_literal_password(argument) for argument in arguments):
        sys.exit(f"train.py: a password on the command line: {HINT}")
    try:
        arguments = take_settings(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"train.py: {message_of(error)}")
    ex.run_commandline([sys.argv[0], *take_database(arguments)])


if __name__ == "__main__":
    logging.basicConfig(
        level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    main(sys.argv[1:])
