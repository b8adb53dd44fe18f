#!/usr/bin/env python
"""Generate the reference of the command lines from their help texts."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

from posggym_es.commands.main import COMMANDS, main, name_of

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "commands.md"
HEAD = """\
<!-- Written by tools/write_commands.py (make settings) from `--help`. -->

# Command lines

`snakemake --cores 1 help` lists the pipeline's targets.

## posggym-es
"""
SCRIPTS = """
## Scripts

The pipeline's steps are scripts in `workflow/scripts/`, which can also be used without
Snakemake.
"""


def page_text() -> str:
    """Return the page."""
    scripts = sorted((ROOT / "workflow" / "scripts").glob("*.py"))
    parts = [HEAD, block(printed(lambda: main(["--help"])))]
    for name in map(name_of, COMMANDS):
        text = printed(lambda name=name: main([name, "--help"]))  # type: ignore[misc]
        parts += [f"\n### {name}\n", block(text)]
    parts.append(SCRIPTS)
    for script in scripts:
        parts += [f"\n### {script.name}\n", block(help_text(script))]
    return "".join(parts)


def block(text: str) -> str:
    """Return a block of Markdown that shows a text as it is."""
    return f"\n```text\n{text.strip()}\n```\n"


def help_text(script: Path) -> str:
    """Return what a script prints with `--help`."""
    arguments, sys.argv = sys.argv, [script.name, "--help"]
    try:
        return printed(lambda: runpy.run_path(str(script), run_name="__main__"))
    finally:
        sys.argv = arguments


def printed(run: Callable[[], object]) -> str:
    """Return what a command line prints before it exits."""
    output = io.StringIO()
    os.environ["COLUMNS"] = "88"
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        run()
    return output.getvalue()


def write() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=PAGE, help="file to write")
    parser.parse_args().output.write_text(page_text(), encoding="utf-8")


if __name__ == "__main__":
    write()
