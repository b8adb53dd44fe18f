"""Tables of plain text."""

from __future__ import annotations

from collections.abc import Sequence


def text_table(rows: Sequence[Sequence[str]], left: int) -> str:
    """Align cells in columns.

    Parameters
    ----------
    rows
        Rows of the same number of cells.
    left
        Number of columns, the first ones, that are aligned on the left; numbers are
        on the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)
