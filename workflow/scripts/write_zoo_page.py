#!/usr/bin/env python
"""Write the page of all agents of the zoo.

Examples
--------
    write_zoo_page.py --zoo zoo --output docs/zoo.md
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import write_text
from posggym_es.publishing.zoo_page import zoo_page


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    write_text(args.output, zoo_page(args.zoo))
    print(f"the agents of {args.zoo}: {args.output}")


if __name__ == "__main__":
    cli.run(main)
