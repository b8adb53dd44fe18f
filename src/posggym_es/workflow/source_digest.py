"""Digests of the code that a script's results depend on."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

# The project's distribution.
DISTRIBUTION = "posggym-es"

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@cache
def source_digest(script: Path, source: Path, others: Sequence[Path] = ()) -> str:
    """Return a digest of a script and of all project modules that it runs.

    This includes imports, also within functions, and modules named in string literals:
    those run with ``python -m``, imported by name, or found as entry points of a group.
    Other packages are ignored, because their versions are pinned.

    Parameters
    ----------
    script
        A Python file.
    source
        Folder of the project's packages; it may also contain other packages.
    others
        Other files that the results depend on, such as templates.

    Returns
    -------
    str
        Sixteen hexadecimal digits.
    """
    files = _run_by(script, source) | set(others)
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _run_by(script: Path, source: Path) -> set[Path]:
    done: set[tuple[Path, bool]] = set()
    waiting = {(script, True)}
    while waiting:
        path, named = waiting.pop()
        done.add((path, named))
        waiting |= set(_modules(path, source, named)) - done
    return {path for path, _ in done}


@cache
def _modules(path: Path, source: Path, named: bool) -> tuple[tuple[Path, bool], ...]:
    """Return the files that a file runs, each with whether it names them directly.

    A package that runs only because one of its modules is imported is not `named`.
    """
    nodes = _run(ast.parse(path.read_bytes()), named)
    names = {name for node in nodes for name in _names(node, path, source)}
    return tuple(_files(sorted(names), source))


def _run(tree: ast.Module, named: bool) -> Iterator[ast.AST]:
    """Iterate over a file's syntax tree, skipping code only for type checkers."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        match node:
            case ast.FunctionDef(name="__getattr__") if not named:
                # Runs only if a name is imported from the package.
                pass
            case ast.If(test=ast.Name("TYPE_CHECKING")):
                waiting += node.orelse
            case _:
                waiting += ast.iter_child_nodes(node)


def _names(node: ast.AST, path: Path, source: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if node.level:
            package = path.relative_to(source).parts[: -node.level]
            module = ".".join([*package, *filter(None, [module])])
        for alias in node.names:
            # `from package import module`, or `from module import name`.
            inner = f"{module}.{alias.name}"
            yield inner if list(_paths(inner, source)) else module
    elif isinstance(node, ast.Constant) and _DOTTED.fullmatch(str(node.value)):
        yield str(node.value)
        yield from _entry_points().get(str(node.value), ())


@cache
def _entry_points() -> dict[str, list[str]]:
    """Return the modules of all installed entry points, keyed by group."""
    modules: dict[str, list[str]] = {}
    for distribution in importlib.metadata.distributions():
        for point in distribution.entry_points:
            modules.setdefault(point.group, []).append(point.module)
    return modules


def _files(names: Iterable[str], source: Path) -> Iterator[tuple[Path, bool]]:
    ours = _top_level(source)
    for name in names:
        parts = name.split(".")
        if parts[0] not in ours:
            continue
        # Importing a module also runs its parent packages.
        for end in range(1, len(parts) + 1):
            for path in _paths(".".join(parts[:end]), source):
                yield path, end == len(parts)


def _paths(module: str, source: Path) -> Iterator[Path]:
    base = source.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            yield path


@cache
def _top_level(source: Path) -> frozenset[str]:
    """Return the names of the project's top-level packages and modules in a folder.

    In a checkout these are all of them; among installed packages, those of the
    project's distribution.
    """
    if (source.parent / "Snakefile").is_file():
        return frozenset(path.stem for path in source.iterdir())
    files = importlib.metadata.files(DISTRIBUTION) or []
    return frozenset(file.parts[0].removesuffix(".py") for file in files)
