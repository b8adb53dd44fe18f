"""What the logger plugins for Snakemake have in common."""

from __future__ import annotations

from snakemake_interface_logger_plugins.base import LogHandlerBase


class OwnLinesHandler(LogHandlerBase):
    """A handler that chooses and formats records itself, and writes no file."""

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
