"""A Snakemake plugin that makes Snakemake read config files and profiles as plain data.

Snakemake imports all installed plugins before it reads a profile or a config file. This
import is the only purpose of the plugin; see `posggym_es.config.safe_config`.
"""

from __future__ import annotations

from posggym_es.config.safe_config import read_safely
from snakemake_logger_plugin_short.own_lines import OwnLinesHandler

__all__ = ["LogHandler"]

read_safely()


class LogHandler(OwnLinesHandler):
    """The handler that a logger plugin must have; it logs nothing."""

    def emit(self, record: object) -> None:
        """Log nothing."""
