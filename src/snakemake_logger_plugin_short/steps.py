"""Steps that run, and what they write to their logs meanwhile."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Of a failed step's log.
_LAST_LINES = 5
# How the trainer ends when it is interrupted.
_LAST_WORDS = re.compile(r"^Interrupted (after generation \d+)", re.MULTILINE)


class Step:
    """A step that runs.

    Parameters
    ----------
    rule
        Name of the rule.
    wildcards
        The values of its wildcards, such as experiment and run.
    logs
        Its log files, which need not exist yet.
    local
        Whether it is too small for a cluster.
    """

    def __init__(
        self,
        rule: str,
        wildcards: Mapping[str, Any],
        logs: Sequence[str],
        local: bool = False,
    ) -> None:
        self._subject = "/".join(map(str, wildcards.values()))
        self._mark = f"{self._subject}: " if self._subject else None
        self.name = f"{self._subject} {rule}" if self._subject else rule
        # Collecting the files of experiments is not worth a line each.
        self.is_minor = local and len(wildcards) < 2
        self._logs = [_Log(Path(log)) for log in logs]
        self.last_line = ""

    def new_lines(self) -> tuple[list[str], bool]:
        """Read what is new in the logs.

        Returns
        -------
        list of str
            The lines for the console: those that begin with experiment and run, or
            whatever the step is about.
        bool
            Whether there was anything new.
        """
        lines = [line for log in self._logs for line in log.new_lines()]
        if lines:
            self.last_line = lines[-1].removeprefix(self._mark or "")
        return [line for line in lines if self._is_shown(line)], bool(lines)

    def _is_shown(self, line: str) -> bool:
        return self._mark is not None and line.startswith(self._mark)

    def failure(self) -> list[str]:
        """Return the last lines of this failed step's logs, and where the logs are."""
        ends = []
        for log in self._logs:
            lines = log.text().strip().splitlines()
            ends += [line for line in lines if not self._is_shown(line)][-_LAST_LINES:]
        paths = ", ".join(str(log.path) for log in self._logs)
        return [*ends, f"{self.name}: failed; its log: {paths or 'none'}"]

    def last_words(self) -> str | None:
        """Return how far an interrupted training run got; None for other steps."""
        for log in self._logs:
            found = _LAST_WORDS.search(log.text())
            if found is not None:
                return f"{self._subject} {found[1]}"
        return None


class _Log:
    """A log file that a step writes; what an earlier attempt left is passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = self._changed()
        self._place = 0

    def _changed(self) -> int | None:
        try:
            return self.path.stat().st_mtime_ns
        except OSError:
            return None

    def text(self) -> str:
        if self._changed() in (None, self._before):
            return ""
        return self.path.read_text(encoding="utf-8", errors="replace")

    def new_lines(self) -> list[str]:
        if self._changed() in (None, self._before):
            return []
        with self.path.open("rb") as file:
            file.seek(self._place)
            # A line that is not complete is left for the next time.
            complete = file.read().rpartition(b"\n")[0]
        self._place += len(complete) + 1 if complete else 0
        return complete.decode("utf-8", errors="replace").splitlines()
