"""What the command lines share: one clear message for errors, JSON arguments."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pgpelib.foreign.config_text import read_config_file

T = TypeVar("T")


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return a parser whose help is a script's docstring, examples included."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`; expected errors become one line and exit status 1."""
    script = Path(sys.argv[0]).name
    try:
        main()
    except OSError as error:
        if error.filename is None or error.strerror is None:
            sys.exit(f"{script}: {error}")
        sys.exit(f"{script}: {error.filename}: {error.strerror}")
    except (ValueError, RuntimeError) as error:
        sys.exit(f"{script}: {error}")


def json_argument(text: str) -> Any:
    """Parse an argument that holds JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error


def json_of(parse: Callable[[Any], T]) -> Callable[[str], T]:
    """Return the type of an argument that holds JSON of a certain form.

    Parameters
    ----------
    parse
        Makes the argument's value of the data; raises `ValueError` for wrong ones.
    """

    def argument(text: str) -> T:
        try:
            return parse(json_argument(text))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return argument


def add_env_module_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument of scripts that make environments which a policy file names."""
    parser.add_argument(
        "--env_module",
        action="append",
        default=[],
        metavar="MODULE",
        help="module that the policy's environment, module:Id, may import",
    )


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of scripts that look at a whole config."""
    parser.add_argument(
        "--configfile",
        type=Path,
        nargs="*",
        default=[Path("config/config.yaml")],
        help="config files, or none; later ones add to earlier ones, as with Snakemake",
    )
    parser.add_argument(
        "--config",
        type=json_argument,
        default={},
        help="values that replace those of the files, as JSON",
    )
    parser.add_argument("--directory", type=Path, default=Path())
    parser.add_argument("--scale", help="scale of the config to look at")
    parser.add_argument("--only", help="experiments, with commas")


def config_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the config that the arguments of `add_config_arguments` name.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    config: dict[str, Any] = {}
    for path in args.configfile:
        config = _merged(config, read_config_file(args.directory / path))
    config |= args.config
    given = {"scale": args.scale, "only": args.only}
    return config | {key: value for key, value in given.items() if value is not None}


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for key, value in second.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merged(old, value)
        merged[key] = value
    return merged


def use_posggym_tree(tree: Path) -> None:
    """Make this process import posggym from a staged tree or checkout.

    Call before anything imports posggym. Nothing is written into the tree, bytecode
    included: what is published is what was generated.

    Parameters
    ----------
    tree
        The folder that holds the `posggym` package.

    Raises
    ------
    ValueError
        If the folder holds no posggym, or another one is imported already.
    """
    tree = tree.resolve()
    if not (tree / "posggym" / "__init__.py").is_file():
        raise ValueError(f"{tree}: holds no posggym package")
    if "posggym" in sys.modules:
        raise ValueError("posggym is imported already; use a fresh process")
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(tree))
