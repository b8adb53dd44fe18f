"""A Snakemake plugin that makes Snakemake read config files and profiles as plain data.

Snakemake imports all installed plugins before it reads a profile or a config file. This
import is the only purpose of the plugin; see `posggym_es.config.safe_config`.
"""

from __future__ import annotations

from snakemake_interface_logger_plugins.base import LogHandlerBase

from posggym_es.config.safe_config import read_safely

__all__ = ["LogHandler"]

read_safely()


class LogHandler(LogHandlerBase):
    """The handler that a logger plugin must have; it logs nothing."""

    def __post_init__(self) -> None:
        """Set up nothing."""

    @property
    def writes_to_stream(self) -> bool:
        """Whether the handler writes to the terminal."""
        return False

    @property
    def writes_to_file(self) -> bool:
        """Whether the handler writes a file."""
        return False

    @property
    def has_filter(self) -> bool:
        """Whether the handler chooses records itself."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Whether the handler formats records itself."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """Whether the handler wants to know the rule graph."""
        return False

    def emit(self, record: object) -> None:
        """Log nothing."""
