"""Digests of code: what a script's results depend on, besides its inputs."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path


@cache
def source_digest(script: Path, source: Path, others: Sequence[Path] = ()) -> str:
    """Return a digest of a script and of all project modules that it imports.

    Imports within functions count, and those of imported modules. Other packages are
    not looked at: their versions are pinned.

    Parameters
    ----------
    script
        A Python file.
    source
        Folder of the project's packages.
    others
        More files that the results depend on, such as templates.

    Returns
    -------
    str
        Sixteen hexadecimal digits.
    """
    files = _imported(script, source) | set(others)
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _imported(script: Path, source: Path) -> set[Path]:
    files: set[Path] = set()
    waiting = {script}
    while waiting:
        path = waiting.pop()
        files.add(path)
        waiting |= set(_modules(path, source)) - files
    return files


@cache
def _modules(path: Path, source: Path) -> tuple[Path, ...]:
    """Return the files of the project that a file imports."""
    tree = ast.parse(path.read_bytes())
    names = {name for node in _run(tree) for name in _names(node, path, source)}
    return tuple(_files(sorted(names), source))


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """Go through a file's syntax, except what is there for type checkers only."""
    yield node
    for child in ast.iter_child_nodes(node):
        checked = isinstance(child, ast.If) and ast.unparse(child.test)
        if checked == "TYPE_CHECKING":
            assert isinstance(child, ast.If)
            for other in child.orelse:
                yield from _run(other)
        else:
            yield from _run(child)


def _names(node: ast.AST, path: Path, source: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if node.level:
            package = path.relative_to(source).parts[: -node.level]
            module = ".".join([*package, *filter(None, [module])])
        yield module
        # `from package import module`
        yield from (f"{module}.{alias.name}" for alias in node.names)


def _files(names: Iterable[str], source: Path) -> Iterator[Path]:
    for name in names:
        parts = name.split(".")
        # Importing a module runs its packages, too.
        for end in range(1, len(parts) + 1):
            base = source.joinpath(*parts[:end])
            for path in (base.with_suffix(".py"), base / "__init__.py"):
                if path.is_file():
                    yield path
