#!/usr/bin/env python
"""Generate the reference of the command lines from the help texts of the scripts."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "commands.md"
HEAD = """\
<!-- Written by tools/write_commands.py (make settings) from the scripts' `--help`. -->

# Command lines

The pipeline's steps are scripts in `workflow/scripts/`, which can also be used without
Snakemake. `snakemake --cores 1 help` lists the pipeline's own targets.
"""


def page_text() -> str:
    """Return the page."""
    scripts = sorted((ROOT / "workflow" / "scripts").glob("*.py"))
    sections = (f"\n## {s.name}\n\n```text\n{help_text(s)}\n```\n" for s in scripts)
    return HEAD + "".join(sections)


def help_text(script: Path) -> str:
    """Return what a script prints with `--help`."""
    printed = io.StringIO()
    arguments, sys.argv = sys.argv, [script.name, "--help"]
    os.environ["COLUMNS"] = "88"
    try:
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = arguments
    return printed.getvalue().strip()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=PAGE, help="file to write")
    parser.parse_args().output.write_text(page_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
