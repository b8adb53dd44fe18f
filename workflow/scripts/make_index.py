#!/usr/bin/env python
"""Write the page of all experiments in a results folder.

Examples
--------
    make_index.py --results results --output results/index.html
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import write_text
from posggym_es.reporting.html_pages import index_page


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    write_text(args.output, index_page(args.results))
    print(f"open {args.output}")


if __name__ == "__main__":
    cli.run(main)
