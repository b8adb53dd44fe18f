"""A Snakemake logger that prints one line per finished step (`--logger short`).

`posggym-es run` uses it. A failed step's own message comes first, then its log file.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_short.own_lines import OwnLinesHandler

__all__ = ["LogHandler"]

# Of a failed step's log.
_LAST_LINES = 5


class LogHandler(OwnLinesHandler):
    """Prints finished and failed steps, warnings and errors."""

    def __post_init__(self) -> None:
        """Start without jobs."""
        self._names: dict[int, str] = {}

    @property
    def writes_to_stream(self) -> bool:
        """Whether the handler writes to the terminal."""
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Print a line for what is worth one."""
        content = record.__dict__
        event = content.get("event")
        if event == LogEvent.JOB_INFO:
            self._names[content["jobid"]] = _name(content)
        elif event == LogEvent.JOB_FINISHED:
            name = self._names.get(content["job_id"])
            if name is not None:
                _print(f"{name}: done")
        elif event == LogEvent.JOB_ERROR:
            # Errors have no wildcards.
            name = self._names.get(content["jobid"], content["rule_name"])
            for line in _failure(name, list(content["log"] or [])):
                _print(line)
        elif content.get("exception") != "RuleException" and (
            record.levelno >= logging.ERROR
        ):
            # That of a rule follows the failed step's own.
            _print(record.getMessage())


def _name(content: dict[str, Any]) -> str:
    """Return a step's name, after its experiment and agent, run, or environment."""
    wildcards = "/".join(map(str, dict(content["wildcards"] or {}).values()))
    rule = content["rule_name"]
    return f"{wildcards} {rule}" if wildcards else rule


def _failure(name: str, logs: list[str]) -> list[str]:
    lines = []
    for log in logs:
        if Path(log).is_file():
            text = Path(log).read_text(encoding="utf-8", errors="replace")
            lines += text.strip().splitlines()[-_LAST_LINES:]
    return [*lines, f"{name}: failed; its log: {', '.join(logs) or 'none'}"]


def _print(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
