"""A Snakemake logger that prints one line per finished step (`--logger short`).

`posggym-es run` uses it. Local steps that are not about a single run, such as those
that collect results, have no line. Of the logs of running steps, it prints the lines
that begin with the step's experiment and run. A failed step's own message comes first,
then its log file; an interruption is one line. On a terminal, a status below the lines
shows how many steps are done, and the last line of a running step's log. Dry runs have
no steps that end: their plan is left to Snakemake.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_short.console import Console
from snakemake_logger_plugin_short.own_lines import OwnLinesHandler
from snakemake_logger_plugin_short.steps import Step

__all__ = ["LogHandler"]

# Seconds between two looks at the logs of running steps.
_INTERVAL = 0.5
# What Snakemake says when it has received SIGTERM.
_ENDS_AFTER_RUNNING_STEPS = "Will exit after finishing currently running jobs"


class LogHandler(OwnLinesHandler):
    """Prints finished and failed steps, what they have to say, warnings and errors."""

    def __post_init__(self) -> None:
        """Start without jobs."""
        self._console = Console(sys.stderr)
        self._steps: dict[int, Step] = {}
        self._active: Step | None = None
        self._failed: list[Step] = []
        self._progress: tuple[int, int] | None = None
        self._interrupted = False
        self._stopped = threading.Event()
        self._follower = threading.Thread(target=self._follow, daemon=True)
        # Of the lines of their logs, steps mark those that are for the console.
        os.environ["POSGGYM_ES_SHORT"] = "1"
        if threading.current_thread() is threading.main_thread():
            self._take_interrupts()

    @property
    def writes_to_stream(self) -> bool:
        """Whether the handler writes to the terminal, in place of Snakemake."""
        return not self.common_settings.dryrun

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line for what is worth one."""
        if not self.writes_to_stream:
            return
        content = record.__dict__
        event = content.get("event")
        if event == LogEvent.RUN_INFO:
            self._progress = (0, content["stats"]["total"])
        elif event == LogEvent.PROGRESS:
            self._progress = (content["done"], content["total"])
            self._console.status(self._status())
        elif event == LogEvent.JOB_INFO:
            self._start(content)
        elif event == LogEvent.JOB_FINISHED:
            step = self._end(content["job_id"])
            if step is not None and not step.is_minor:
                self._console.line(f"{step.name}: done")
        elif event == LogEvent.JOB_ERROR:
            step = self._end(content["jobid"])
            if step is None:
                step = Step(content["rule_name"], {}, content["log"] or [])
            self._failed.append(step)
        elif record.getMessage().startswith(_ENDS_AFTER_RUNNING_STEPS):
            self._interrupted = True
        elif content.get("exception") != "RuleException" and (
            record.levelno >= logging.ERROR and not self._interrupted
        ):
            # That of a rule follows the failed step's own.
            self._print_failures()
            self._console.line(record.getMessage())

    def close(self) -> None:
        """Print what is left to say."""
        if not self._stopped.is_set():
            self._stopped.set()
            if self._follower.is_alive():
                self._follower.join()
            if self._interrupted:
                self._console.status("")
                self._console.line(self._last_words())
            else:
                self._look()
                self._console.status("")
        super().close()

    def _start(self, content: dict[str, Any]) -> None:
        step = Step(
            content["rule_name"],
            content["wildcards"] or {},
            content["log"] or [],
            content["local"],
        )
        self._steps[content["jobid"]] = step
        if not self._follower.is_alive():
            self._follower.start()

    def _end(self, number: int) -> Step | None:
        """Print the last lines of a step, and forget it."""
        step = self._steps.pop(number, None)
        if step is not None:
            self._print_lines(step)
            if step is self._active:
                self._active = None
        return step

    def _follow(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            self.acquire()
            try:
                self._look()
            finally:
                self.release()

    def _look(self) -> None:
        """Print what is new, and draw the status."""
        for step in self._steps.values():
            if self._print_lines(step):
                self._active = step
        self._print_failures()
        self._console.status(self._status())

    def _print_lines(self, step: Step) -> bool:
        lines, active = step.new_lines()
        for line in lines:
            self._console.line(line)
        return active

    def _print_failures(self) -> None:
        # Interrupted steps fail, too, and may do so before Snakemake is interrupted.
        while self._failed and not self._interrupted:
            for line in self._failed.pop(0).failure():
                self._console.line(line)

    def _status(self) -> str:
        if self._progress is None or not self._steps:
            return ""
        done, total = self._progress
        parts = [f"{done}/{total} steps"]
        if self._active is not None:
            parts.append(f"{self._active.name}: {self._active.last_line}")
        return " · ".join(parts)

    def _last_words(self) -> str:
        steps = [*self._steps.values(), *self._failed]
        words = [text for step in steps if (text := step.last_words()) is not None]
        what = " ".join(["Interrupted", ", ".join(words)]).strip()
        return f"{what}; run the same command to resume."

    def _take_interrupts(self) -> None:
        """Take Ctrl-C as the end of everything, without a traceback, and only once."""
        show = sys.excepthook

        def interrupt(number: int, frame: FrameType | None) -> None:
            signal.signal(number, signal.SIG_IGN)
            if self._stopped.is_set():
                return
            self._interrupted = True
            raise KeyboardInterrupt

        def show_others(kind: type[BaseException], *rest: Any) -> None:
            if not issubclass(kind, KeyboardInterrupt):
                show(kind, *rest)

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, interrupt)
            sys.excepthook = show_others
