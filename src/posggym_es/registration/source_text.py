"""Editing text files line by line, without changing anything else."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Source:
    """The text of a file, independent of its line endings.

    Parameters
    ----------
    text
        Lines that end with a newline, the last one too; empty for an empty file.
    newline
        How the lines of the file end. Where endings are mixed, the odd ones stay in the
        text.
    final
        Whether the last line of the file ends at all.
    """

    text: str
    newline: str = "\n"
    final: bool = True

    @classmethod
    def of(cls, content: bytes) -> Source:
        """Decode the content of a file; `encode` restores all bytes."""
        # Bytes that are not UTF-8 are preserved.
        text = content.decode("utf-8", "surrogateescape")
        windows = "\r\n" in text and text.count("\n") == text.count("\r\n")
        if windows:
            text = text.replace("\r\n", "\n")
        final = text.endswith("\n") or not text
        return cls(text if final else f"{text}\n", "\r\n" if windows else "\n", final)

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        text = self.text if self.final else self.text.removesuffix("\n")
        return text.replace("\n", self.newline).encode("utf-8", "surrogateescape")

    @property
    def lines(self) -> list[str]:
        """The lines without their ends."""
        return self.text.split("\n")[:-1]

    def with_lines(self, lines: list[str]) -> Source:
        """Return a source with other lines."""
        return dataclasses.replace(self, text="".join(f"{line}\n" for line in lines))

    def inserted(self, place: int, *lines: str) -> Source:
        """Return a source with more lines before line `place`, counted from 0."""
        old = self.lines
        return self.with_lines([*old[:place], *lines, *old[place:]])

    def removed(self, start: int, end: int) -> Source:
        """Return a source without the lines from `start` to before `end`."""
        return self.with_lines(self.lines[:start] + self.lines[end:])

    def appended(self, text: str) -> Source:
        """Return a source with a text after its last line."""
        return dataclasses.replace(self, text=self.text + text)

    def empty_before(self, line: int) -> int:
        """Return the first of at most two empty lines that end before a line."""
        start = line
        while start > max(line - 2, 0) and not self.lines[start - 1]:
            start -= 1
        return start
