"""Registration code in a posggym source tree.

All generated code stands in one marked block per file, which later runs replace; every
byte outside of it stays as it is, and registering nothing removes the blocks again.
"""

from __future__ import annotations

import ast
import math
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import black

from pgpelib.files import write_bytes
from posggym_es.spec import AgentSpec
from posggym_es.staging import check_distinct

BEGIN = "# >>> posggym-es: generated, edits in this block are lost >>>"
END = "# <<< posggym-es <<<"

AGENTS_INIT = Path("posggym/agents/__init__.py")

# Pieces of long strings: with indentation and quotes they fit into 88 columns.
_PIECE = 56

_ENV_MODULE_BODY = """\
from posggym.agents.torch_policy import PPOPolicy as _EsPolicy  # noqa: E402
from posggym.agents.utils import processors as _es_processors  # noqa: E402
from posggym.config import AGENT_MODEL_DIR as _ES_MODEL_DIR  # noqa: E402

# These policies are deterministic by their weights: PPOPolicy samples its actions in
# any case, from distributions without spread.
for _es_spec in [
    {calls}
]:
    policy_specs[_es_spec.id] = _es_spec
"""

_AGENTS_INIT_BODY = """\
{imports}
from posggym.agents.registration import register_spec as _es_register_spec  # noqa: E402

for _es_module in [{aliases}]:
    for _es_policy_spec in _es_module.policy_specs.values():
        _es_register_spec(_es_policy_spec)
"""


class RegistryError(ValueError):
    """A tree that cannot be registered in; names the file and what to do."""


def register(
    posggym_root: Path,
    specs: Sequence[AgentSpec],
    taken: frozenset[str] = frozenset(),
) -> list[Path]:
    """Write the registration of agents into a posggym tree.

    The tree then registers exactly these agents besides its own: entries of earlier
    runs that are not among `specs` are removed.

    Parameters
    ----------
    posggym_root
        The folder that holds the `posggym` package.
    specs
        The agents, in any order.
    taken
        Ids that the tree registers outside the generated blocks (`existing_ids`).

    Returns
    -------
    list of Path
        The files that changed, were made or removed.

    Raises
    ------
    RegistryError
        If this is no posggym tree, a block is damaged, or an id is taken.
    StagingError
        If two specs share an id or a file.
    """
    init = posggym_root / AGENTS_INIT
    if not init.is_file():
        raise RegistryError(f"{init}: no such file; {posggym_root} is no posggym tree")
    check_distinct(specs)
    for spec in specs:
        if spec.id in taken:
            raise RegistryError(
                f"{spec.id} is registered in {posggym_root} already; register it as "
                f"version {spec.version + 1}"
            )
    by_module: dict[str, list[AgentSpec]] = {}
    for spec in sorted(specs, key=lambda spec: spec.id):
        by_module.setdefault(spec.module, []).append(spec)

    blocks: dict[Path, str] = {}
    contents: dict[Path, bytes] = {}
    for module, members in by_module.items():
        path = posggym_root.joinpath(*module.split("."), "__init__.py")
        blocks[path] = env_module_code(members)
        if not path.exists():
            contents[path] = _new_module(members[0].env_id)
        package = path.parent.parent / "__init__.py"
        if not package.exists():
            contents[package] = _new_package(members[0].env_type)
    imported = imported_env_modules(remove_block(init, init.read_bytes()).decode())
    missing = [module for module in by_module if module not in imported]
    if missing:
        blocks[init] = agents_init_code(missing)
    for path in {*_files_with_blocks(posggym_root), *blocks}:
        content = contents.get(path) or path.read_bytes()
        if path in blocks:
            contents[path] = set_block(path, content, blocks[path])
        else:
            contents[path] = remove_block(path, content)
    return _write(posggym_root, contents)


def existing_ids(posggym_root: Path) -> set[str]:
    """Return the ids that a posggym tree registers, from a fresh process.

    Raises
    ------
    RegistryError
        If the tree cannot be imported; with Python's own message.
    """
    code = "import posggym.agents; print('\\n'.join(posggym.agents.registry))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(posggym_root.resolve())},
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise RegistryError(
            f"{posggym_root}: cannot be imported:\n{result.stderr.strip()}"
        )
    return set(result.stdout.splitlines())


def env_module_code(specs: Sequence[AgentSpec]) -> str:
    """Return the code that adds agents to an environment module's `policy_specs`."""
    calls = "".join(_call(spec) + "," for spec in specs)
    return _formatted(_ENV_MODULE_BODY.format(calls=calls))


def agents_init_code(modules: Sequence[str]) -> str:
    """Return the code that imports environment modules and registers their policies."""
    imports, aliases = [], []
    for module in sorted(modules):
        package, _, name = module.rpartition(".")
        alias = "_es_" + module.removeprefix("posggym.agents.").replace(".", "_")
        imports.append(f"from {package} import {name} as {alias}  # noqa: E402")
        aliases.append(alias)
    return _formatted(
        _AGENTS_INIT_BODY.format(imports="\n".join(imports), aliases=", ".join(aliases))
    )


def imported_env_modules(source: str) -> set[str]:
    """Return the modules below `posggym.agents` that a source file imports."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    return {module for module in modules if module.startswith("posggym.agents.")}


def set_block(path: Path, content: bytes, code: str) -> bytes:
    """Return a file with `code` in its block: the one it has, or a new one at its end.

    A file without a final newline gets a block without one, so that `remove_block`
    gives back the same bytes.

    Raises
    ------
    RegistryError
        If the block of the file is damaged.
    """
    newline = _newline(content)
    lines = [BEGIN, *code.rstrip("\n").split("\n"), END]
    block = newline.join(line.encode() for line in lines)
    parts = _split(path, content)
    if parts is not None:
        before, after = parts
        return before + block + after
    if not content or content.endswith(newline):
        return content + newline + block + newline
    return content + newline + newline + block


def remove_block(path: Path, content: bytes) -> bytes:
    """Return a file as it was before `set_block`.

    Raises
    ------
    RegistryError
        If the block of the file is damaged.
    """
    newline = _newline(content)
    parts = _split(path, content)
    if parts is None:
        return content
    before, after = parts
    before = before.removesuffix(newline)
    if after:
        return before + after.removeprefix(newline)
    return before.removesuffix(newline)


def _newline(content: bytes) -> bytes:
    return b"\r\n" if b"\r\n" in content else b"\n"


def _split(path: Path, content: bytes) -> tuple[bytes, bytes] | None:
    """Return what stands before and after a file's block; None without a block."""
    begin, end = BEGIN.encode(), END.encode()
    counts = content.count(begin), content.count(end)
    if counts == (0, 0):
        return None
    before, _, rest = content.partition(begin)
    _, found, after = rest.partition(end)
    if counts != (1, 1) or not found:
        raise RegistryError(
            f"{path}: the generated block is damaged; it has to begin with one line "
            f"{BEGIN!r} and end with one line {END!r}. Restore the file and run again"
        )
    return before, after


def _call(spec: AgentSpec) -> str:
    """Return the expression that makes a policy spec."""
    path = "".join(f" / {_literal(part)}" for part in spec.asset.parts)
    return f"""_EsPolicy.get_spec_from_path(
        policy_file_path=_ES_MODEL_DIR{path},
        env_id={_literal(spec.env_id)},
        env_args={_value(spec, spec.env_args)},
        version={spec.version},
        valid_agent_ids={_value(spec, spec.valid_agent_ids)},
        nondeterministic=False,
        description={_literal(spec.description)},
        deterministic=True,
        obs_processor_cls=_es_processors.{spec.obs_processor.name},
        obs_processor_config={_value(spec, spec.obs_processor.config)},
        action_processor_cls=_es_processors.{spec.action_processor.name},
        action_processor_config={_value(spec, spec.action_processor.config)},
    )"""


def _value(spec: AgentSpec, value: Any) -> str:
    """Return plain data as Python code."""
    if isinstance(value, str):
        return _literal(value)
    if value is None or isinstance(value, bool | int):
        return repr(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RegistryError(f"{spec.id}: {value} cannot be written as an argument")
        return repr(value)
    if isinstance(value, tuple):
        return "(" + "".join(f"{_value(spec, item)}," for item in value) + ")"
    if isinstance(value, list):
        return "[" + "".join(f"{_value(spec, item)}," for item in value) + "]"
    if isinstance(value, dict):
        items = (f"{_literal(k)}: {_value(spec, v)}," for k, v in value.items())
        return "{" + "".join(items) + "}"
    raise RegistryError(
        f"{spec.id}: {value!r} of type {type(value).__name__} cannot be written as an "
        "argument"
    )


def _literal(text: str) -> str:
    """Return a string as Python code, long ones as pieces that fit into a line."""
    if len(text) <= _PIECE:
        return repr(text)
    pieces = textwrap.wrap(
        text, _PIECE, drop_whitespace=False, replace_whitespace=False, expand_tabs=False
    )
    return "(" + " ".join(map(repr, pieces)) + ")"


def _formatted(code: str) -> str:
    return black.format_str(code, mode=black.Mode(line_length=88))


def _new_module(env_id: str) -> bytes:
    return (
        f'"""Policies for the {env_id} environment."""\n'
        "from __future__ import annotations\n\n"
        "from posggym.agents.registration import PolicySpec\n\n\n"
        "policy_specs: dict[str, PolicySpec] = {}\n"
    ).encode()


def _new_package(env_type: str) -> bytes:
    return f'"""Policies for {env_type} environments."""\n'.encode()


def _files_with_blocks(posggym_root: Path) -> list[Path]:
    agents = (posggym_root / AGENTS_INIT).parent
    marks = (BEGIN.encode(), END.encode())
    return [
        path
        for path in sorted(agents.rglob("__init__.py"))
        if any(mark in path.read_bytes() for mark in marks)
    ]


def _is_empty_module(content: bytes) -> bool:
    """Whether a file without its block is what `_new_module` makes."""
    match = re.match(rb'"""Policies for the (\S+) environment\."""\n', content)
    return match is not None and content == _new_module(match[1].decode())


def _write(posggym_root: Path, contents: dict[Path, bytes]) -> list[Path]:
    """Write what differs, and remove modules and packages that became empty."""
    changed = []
    for path, content in sorted(contents.items()):
        if _is_empty_module(content):
            path.unlink()
            path.parent.rmdir()
        elif not path.exists() or path.read_bytes() != content:
            write_bytes(path, content)
        else:
            continue
        changed.append(path)
    for package in sorted((posggym_root / AGENTS_INIT).parent.iterdir()):
        init = package / "__init__.py"
        if (
            package.is_dir()
            and [*package.iterdir()] == [init]
            and init.read_bytes() == _new_package(package.name)
        ):
            init.unlink()
            package.rmdir()
            changed.append(init)
    return changed
