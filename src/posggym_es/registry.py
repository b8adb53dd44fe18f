"""Registration code in a posggym source tree.

All generated code stands in one marked block per file, which later runs replace; every
byte outside of it stays as it is, and registering nothing removes the blocks again.
"""

from __future__ import annotations

import ast
import math
import re
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import black

from pgpelib.files import write_bytes
from posggym_es.fresh_process import FreshProcessError, run_with_tree
from posggym_es.spec import AgentSpec, ProcessorSpec
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

for _es_spec in [
    {calls}
]:
    policy_specs[_es_spec.id] = _es_spec
del _es_spec, _EsPolicy, _es_processors, _ES_MODEL_DIR
"""

_AGENTS_INIT_BODY = """\
{imports}
from posggym.agents.registration import register_spec as _es_register_spec  # noqa: E402

for _es_module in [{aliases}]:
    for _es_policy_spec in _es_module.policy_specs.values():
        _es_register_spec(_es_policy_spec)
del _es_policy_spec, _es_module, _es_register_spec, {aliases}
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
        Ids that the tree registers outside the generated blocks: `existing_ids` of a
        tree without blocks.

    Returns
    -------
    list of Path
        The files that changed, were made or removed.

    Raises
    ------
    RegistryError
        If this is no posggym tree, a file in it cannot be added to, a block is damaged,
        an id is taken, or a value cannot be written as code. No file is written then.
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
                f"{spec.id} is an id of posggym's own already; register it as "
                f"version {spec.version + 1}"
            )
    by_module: dict[str, list[AgentSpec]] = {}
    for spec in sorted(specs, key=_order):
        by_module.setdefault(spec.module, []).append(spec)

    blocks: dict[Path, str] = {}
    contents: dict[Path, bytes] = {}
    for module, members in by_module.items():
        path = posggym_root.joinpath(*module.split("."), "__init__.py")
        blocks[path] = env_module_code(members)
        if path.exists():
            outside = remove_block(path, path.read_bytes())
            if "policy_specs" not in _assigned_names(_parse(path, outside)):
                raise RegistryError(
                    f"{path}: has no `policy_specs` to add {members[0].id} to; give "
                    "the agents another env_type or env_name"
                )
        else:
            contents[path] = _new_module(members[0].env_id)
        package = path.parent.parent / "__init__.py"
        if not package.exists():
            contents[package] = _new_package(members[0].env_type)
    imported = imported_env_modules(_parse(init, remove_block(init, init.read_bytes())))
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


def generated_specs(posggym_root: Path) -> list[AgentSpec]:
    """Return the agents that the generated blocks of a posggym tree register.

    Raises
    ------
    RegistryError
        If a block is damaged, or somebody changed it; names the file.
    """
    specs = []
    for path in _files_with_blocks(posggym_root):
        if path == posggym_root / AGENTS_INIT:
            continue
        module = _parse(path, _block(path, path.read_bytes()))
        try:
            (loop,) = (node for node in module.body if isinstance(node, ast.For))
            assert isinstance(loop.iter, ast.List)
            specs += [_spec_of_call(call) for call in loop.iter.elts]
        except (AssertionError, LookupError, TypeError, ValueError) as error:
            raise RegistryError(_changed(path)) from error
    return specs


def existing_ids(posggym_root: Path) -> set[str]:
    """Return the ids that a posggym tree registers, from a fresh process.

    Ids of generated blocks are among them.

    Raises
    ------
    RegistryError
        If the tree cannot be imported; with Python's own message.
    """
    code = "import posggym.agents; print('\\n'.join(posggym.agents.registry))"
    try:
        return set(run_with_tree(posggym_root, code).splitlines())
    except FreshProcessError as error:
        raise RegistryError(f"{posggym_root}: cannot be imported:\n{error}") from error


def check_blocks(posggym_root: Path, candidates: Sequence[Sequence[AgentSpec]]) -> None:
    """Refuse a tree in which somebody changed a generated block of an environment.

    Parameters
    ----------
    posggym_root
        The folder that holds the `posggym` package.
    candidates
        Lists of agents; each block has to be that of one of them.

    Raises
    ------
    RegistryError
        Naming the file.
    """
    expected: dict[Path, set[bytes]] = {}
    for specs in candidates:
        by_module: dict[str, list[AgentSpec]] = {}
        for spec in sorted(specs, key=_order):
            by_module.setdefault(spec.module, []).append(spec)
        for module, members in by_module.items():
            path = posggym_root.joinpath(*module.split("."), "__init__.py")
            code = env_module_code(members).rstrip("\n")
            expected.setdefault(path, set()).add(code.encode())
    for path in _files_with_blocks(posggym_root):
        if path == posggym_root / AGENTS_INIT:
            continue
        if _block(path, path.read_bytes()) not in expected.get(path, set()):
            raise RegistryError(_changed(path.relative_to(posggym_root)))


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


def imported_env_modules(agents_init: ast.Module) -> set[str]:
    """Return what `posggym/agents/__init__.py` imports from below its package.

    Names imported from a module are listed like modules, next to the module itself.
    """
    modules = set()
    for node in ast.walk(agents_init):
        if isinstance(node, ast.ImportFrom):
            # `from . import x` is one level: the package of the file.
            base = ["posggym", "agents"][: 3 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            modules |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
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
    parts = _split(path, content)
    newline = b"\r\n" if b"\r\n" in content else b"\n"
    if parts is not None:
        before, newline, after = parts
    lines = [BEGIN, *code.rstrip("\n").split("\n"), END]
    block = newline.join(line.encode() for line in lines)
    if parts is not None:
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
    parts = _split(path, content)
    if parts is None:
        return content
    before, newline, after = parts
    before = before.removesuffix(newline)
    if after:
        return before + after.removeprefix(newline)
    return before.removesuffix(newline)


def _split(path: Path, content: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Return what comes before a file's block, the block's newline, and the rest.

    None without a block. Only whole lines count: a description may hold the markers.
    The newline is the block's own, as line endings of a file can be mixed.
    """
    begins, ends = (
        [*re.finditer(rb"^" + re.escape(mark.encode()) + rb"(?=(\r?)$)", content, re.M)]
        for mark in (BEGIN, END)
    )
    if not begins and not ends:
        return None
    if len(begins) != 1 or len(ends) != 1 or begins[0].start() > ends[0].start():
        raise RegistryError(
            f"{path}: the generated block is damaged; it has to begin with one line "
            f"{BEGIN!r} and end with one line {END!r}. Restore the file and run again"
        )
    return content[: begins[0].start()], begins[0][1] + b"\n", content[ends[0].end() :]


def _block(path: Path, content: bytes) -> bytes:
    """Return the code in a file's block, with newlines as Python writes them."""
    parts = _split(path, content)
    assert parts is not None
    before, newline, after = parts
    block = content[len(before) : len(content) - len(after)]
    return b"\n".join(block.split(newline)[1:-1])


def _changed(path: Path) -> str:
    return (
        f"{path}: somebody changed the code between {BEGIN!r} and {END!r}; move the "
        "changes out of the block, or restore it, and commit that"
    )


def _order(spec: AgentSpec) -> tuple[str, str, str, int]:
    """Order in a module: as the id, but with v10 after v9."""
    return spec.env_id, spec.env_args_id or "", spec.policy_name, spec.version


def _parse(path: Path, content: bytes) -> ast.Module:
    """Parse a file of the tree; bytes, as only those may have a coding or a BOM."""
    try:
        return ast.parse(content)
    except (SyntaxError, ValueError) as error:
        raise RegistryError(f"{path}: not valid Python ({error}); repair it") from error


def _assigned_names(module: ast.Module) -> set[str]:
    """Return the names that a module assigns or imports anywhere."""
    names = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names


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
        deterministic={spec.deterministic},
        obs_processor_cls=_es_processors.{spec.obs_processor.name},
        obs_processor_config={_value(spec, spec.obs_processor.config)},
        action_processor_cls=_es_processors.{spec.action_processor.name},
        action_processor_config={_value(spec, spec.action_processor.config)},
    )"""


def _spec_of_call(call: ast.expr) -> AgentSpec:
    """Return the agent of an expression that `_call` wrote."""
    assert isinstance(call, ast.Call)
    arguments = {str(keyword.arg): keyword.value for keyword in call.keywords}
    folders: list[str] = []
    path = arguments["policy_file_path"]
    while isinstance(path, ast.BinOp):
        folders.insert(0, ast.literal_eval(path.right))
        path = path.left
    asset = PurePosixPath(*folders)

    def processor(kind: str) -> ProcessorSpec:
        name = arguments[f"{kind}_processor_cls"]
        assert isinstance(name, ast.Attribute)
        config = ast.literal_eval(arguments[f"{kind}_processor_config"])
        return ProcessorSpec(name.attr, config)

    spec = AgentSpec(
        env_id=ast.literal_eval(arguments["env_id"]),
        env_args=ast.literal_eval(arguments["env_args"]),
        env_type=asset.parts[0],
        env_name=asset.parts[1],
        policy_name=asset.stem,
        version=ast.literal_eval(arguments["version"]),
        valid_agent_ids=ast.literal_eval(arguments["valid_agent_ids"]),
        description=ast.literal_eval(arguments["description"]),
        obs_processor=processor("obs"),
        action_processor=processor("action"),
        deterministic=ast.literal_eval(arguments["deterministic"]),
    )
    if spec.asset != asset:
        raise ValueError(f"{asset} is not where {spec.id} belongs")
    return spec


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
        comma = "," if len(value) == 1 else ""
        return f"({', '.join(_value(spec, item) for item in value)}{comma})"
    if isinstance(value, list):
        return f"[{', '.join(_value(spec, item) for item in value)}]"
    if isinstance(value, dict):
        items = (f"{_literal(k)}: {_value(spec, v)}" for k, v in value.items())
        return "{" + ", ".join(items) + "}"
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
        f'"""Policies for the {env_id} environment."""\n\n'
        "from __future__ import annotations\n\n"
        "from typing import TYPE_CHECKING\n\n"
        "if TYPE_CHECKING:\n"
        "    from posggym.agents.registration import PolicySpec\n\n\n"
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
            _remove_module(path)
        elif not path.exists() or path.read_bytes() != content:
            write_bytes(path, content)
        else:
            continue
        changed.append(path)
    for package in sorted((posggym_root / AGENTS_INIT).parent.iterdir()):
        init = package / "__init__.py"
        if (
            init.is_file()
            and _is_alone(init)
            and init.read_bytes() == _new_package(package.name)
        ):
            _remove_module(init)
            changed.append(init)
    return changed


def _remove_module(init: Path) -> None:
    """Remove an `__init__.py`, and its folder when nothing else is in there."""
    alone = _is_alone(init)
    init.unlink()
    if alone:
        shutil.rmtree(init.parent)


def _is_alone(init: Path) -> bool:
    """Whether a folder holds nothing else; Python may have left compiled files."""
    return {path.name for path in init.parent.iterdir()} <= {init.name, "__pycache__"}
