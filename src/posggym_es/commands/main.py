"""The console command `posggym-es`: parsing, and errors as one line."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

from pgpelib.utils.errors import message_of
from posggym_es.commands import (
    check,
    convert,
    export,
    load,
    push_to_hub,
    run,
    status,
    verify,
    watch,
)

# Each has a docstring with examples, `add_arguments`, `main`, and `EXTRA`: what it
# needs to be installed, or None.
COMMANDS: tuple[ModuleType, ...] = (
    run,
    status,
    watch,
    load,
    export,
    convert,
    verify,
    check,
    push_to_hub,
)

EPILOG = """\
examples:
  posggym-es run lunarlander --scale smoke
  posggym-es status
  posggym-es watch Driving-v1/driving/seed3
  posggym-es load results/registry
  posggym-es COMMAND --help
"""


def name_of(command: ModuleType) -> str:
    """Return the name of a command, such as `push-to-hub`."""
    return command.__name__.rpartition(".")[2].replace("_", "-")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="posggym-es",
        description="Train agents by evolution strategies, register them in POSGGym, "
        "and play them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    choice = top.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        text = command.__doc__ or ""
        inner = choice.add_parser(
            name_of(command),
            help=text.partition("\n")[0].rstrip("."),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            # Snakemake's --config is not short for --configfile.
            allow_abbrev=False,
        )
        command.add_arguments(inner)
        inner.set_defaults(command=command, parser=inner)
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an expected error is one line, and exits with 1.

    Parameters
    ----------
    arguments
        Those of the process by default.
    """
    args, others = parser().parse_known_args(arguments)
    if others and not getattr(args.command, "PASSES_ON", False):
        args.parser.error(f"unrecognized arguments: {' '.join(others)}")
    args.others = others
    # What pygame says on import is not about this project.
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    try:
        args.command.main(args)
    except ModuleNotFoundError as error:
        if args.command.EXTRA is None:
            raise
        sys.exit(
            f"{args.parser.prog} needs {error.name}; install it with: "
            f"pip install 'posggym-es[{args.command.EXTRA}]'"
        )
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{args.parser.prog}: {message_of(error)}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
