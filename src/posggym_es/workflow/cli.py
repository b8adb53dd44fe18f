"""Helpers of the command-line scripts: parsers, error messages, JSON arguments.

Scripts import this module before those that load PyTorch (see `quick_start`).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pgpelib.utils.quick_start  # noqa: F401
from pgpelib.foreign.config_text import parse_yaml, read_config_file
from pgpelib.utils.errors import message_of
from posggym_es.sources.settings import AgentSettings

T = TypeVar("T")


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Create a parser whose help text is a script's docstring."""
    return argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def run(main: Callable[[], None]) -> None:
    """Run a script's `main`; print expected errors as one line and exit with 1."""
    script = Path(sys.argv[0]).name
    try:
        main()
    except (ValueError, RuntimeError, OSError) as error:
        sys.exit(f"{script}: {message_of(error)}")


def json_argument(text: str) -> Any:
    """Parse a JSON argument."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error


def json_of(parse: Callable[[Any], T]) -> Callable[[str], T]:
    """Return an argparse type for JSON arguments of a certain form.

    Parameters
    ----------
    parse
        Converts the JSON data to the argument's value; raises `ValueError` if they are
        invalid.
    """

    def argument(text: str) -> T:
        try:
            return parse(json_argument(text))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return argument


def add_env_module_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--env_module`, for scripts that create environments of policy files."""
    parser.add_argument(
        "--env_module",
        action="append",
        default=[],
        metavar="MODULE",
        help="module that an environment id of the form MODULE:ID may import",
    )


def add_agent_argument(parser: argparse.ArgumentParser) -> None:
    """Add `--agent`, for scripts that read checkpoints of other libraries."""
    parser.add_argument(
        "--agent",
        nargs="+",
        action=_AgentAction,
        metavar="KEY=VALUE",
        help="what the checkpoint does not say about its agent, as under agent: in the "
        "config, with values in YAML: env_name=CartPole-v1 deterministic=true",
    )


class _AgentAction(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given: dict[str, Any] = {}
        try:
            for text in values:
                key, assigned, value = text.partition("=")
                if not assigned:
                    raise ValueError(f"{text!r} is not KEY=VALUE")
                given |= parse_yaml(f"{key}: {value}", "--agent")
            setattr(namespace, self.dest, AgentSettings.from_dict(given))
        except ValueError as error:
            raise argparse.ArgumentError(self, str(error)) from error


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of scripts that read the workflow's config."""
    parser.add_argument(
        "--configfile",
        type=Path,
        nargs="*",
        default=[Path("config/config.yaml")],
        help="config files; later ones override earlier ones, as with Snakemake",
    )
    parser.add_argument(
        "--config",
        type=json_argument,
        default={},
        help="JSON with values that override those of the files",
    )
    parser.add_argument(
        "--directory", type=Path, default=Path(), help="working directory of Snakemake"
    )
    parser.add_argument("--scale", help="scale to use instead of the config's")
    parser.add_argument("--only", help="experiments to select, separated by commas")


def config_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the config given by the arguments of `add_config_arguments`.

    Raises
    ------
    ValueError
        If a file cannot be read.
    """
    config: dict[str, Any] = {}
    for path in args.configfile:
        config = _merged(config, read_config_file(args.directory / path))
    config = _merged(config, args.config)
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

    Call this before anything imports posggym. It also disables bytecode files, so that
    a tree contains nothing but what was generated.

    Parameters
    ----------
    tree
        The folder that contains the `posggym` package.

    Raises
    ------
    ValueError
        If the folder does not contain posggym, or posggym is already imported.
    """
    tree = tree.resolve()
    if not (tree / "posggym" / "__init__.py").is_file():
        raise ValueError(f"{tree} does not contain the posggym package")
    if "posggym" in sys.modules:
        raise ValueError("posggym is already imported; use a fresh process")
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(tree))
