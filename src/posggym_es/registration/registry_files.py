"""Registration code in a posggym source tree.

Agents are written as POSGGym's own are: a loop over policy files in the environment's
module, with a comment above it that tells later runs which loops are theirs. What such
a loop needs (imports, the folder of the files) and what makes POSGGym register a new
module is added where its neighbours have it. Every other byte stays as it is, and
registering nothing takes all of it out again.

Agents of Gymnasium tasks are modules of `posggym.agents.gymnasium`, which POSGGym does
not import: `posggym_gymnasium`, which registers their environments, does.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pgpelib.utils.files import write_bytes
from posggym_es.models.processors import ProcessorSpec
from posggym_es.registration.source_text import Source
from posggym_es.registration.spec import AgentSpec, default_args_id
from posggym_es.registration.staging import check_distinct
from posggym_es.utils.fresh_process import FreshProcessError, run_with_tree
from posggym_gymnasium.ids import ENV_TYPE as GYMNASIUM

MARK = "# Registered with posggym-es"

AGENTS_INIT = Path("posggym/agents/__init__.py")

# POSGGym's linter allows no longer lines.
_LINE_LENGTH = 88

_IMPORTS = {
    "PPOPolicy": "from posggym.agents.torch_policy import PPOPolicy",
    "processors": "from posggym.agents.utils import processors",
    "AGENT_MODEL_DIR": "from posggym.config import AGENT_MODEL_DIR",
}
_SKELETON = '"""Policies for the {env_id} environment."""\n\npolicy_specs = {{}}\n'
_GYMNASIUM_PACKAGE = (
    '"""Policies for Gymnasium environments, which `posggym_gymnasium` registers."""\n'
)
_BY_WEIGHTS = "actions are deterministic, by the weights of the policy"
_SAMPLED = "actions sampled, rather than always taking most probable action"


class RegistryError(ValueError):
    """Agents cannot be registered in a tree; the message names the file."""


def register(
    posggym_root: Path,
    specs: Sequence[AgentSpec],
    taken: frozenset[str] = frozenset(),
) -> list[Path]:
    """Write the registration of agents into a posggym tree.

    The tree then registers exactly these agents besides its own: those of earlier runs
    that are not among `specs` are removed.

    Parameters
    ----------
    posggym_root
        The folder that holds the `posggym` package.
    specs
        The agents, in any order.
    taken
        Ids that the tree registers itself: `existing_ids` of a tree in which nothing
        is registered.

    Returns
    -------
    list of Path
        The files that were changed, created or removed.

    Raises
    ------
    RegistryError
        If this is not a posggym tree, a file cannot be extended, generated code was
        edited, an id is taken, or a value cannot be written as code. In this case, no
        file is written.
    StagingError
        If two specs share an id or a file.
    """
    init = posggym_root / AGENTS_INIT
    if not init.is_file():
        raise RegistryError(
            f"{init} does not exist; {posggym_root} is not a posggym tree"
        )
    check_distinct(specs)
    for spec in specs:
        if spec.id in taken:
            raise RegistryError(
                f"{spec.id} is already the id of one of posggym's own agents; register "
                f"it as version {spec.version + 1}"
            )
    return _write(posggym_root, _contents(posggym_root, specs))


def generated_specs(posggym_root: Path) -> list[AgentSpec]:
    """Return the agents that generated code in a posggym tree registers.

    Raises
    ------
    RegistryError
        If generated code was edited; the message names the file.
    """
    return [
        spec
        for path in _marked_files(posggym_root)
        for spec in _agents_in(path, Source.of(path.read_bytes()))
    ]


def existing_ids(posggym_root: Path) -> set[str]:
    """Return the ids that a posggym tree registers, from a fresh process.

    Raises
    ------
    RegistryError
        If the tree cannot be imported; with Python's own message.
    """
    try:
        listing = run_with_tree(posggym_root, "posggym_es.registration.registered_ids")
        return set(listing.splitlines())
    except FreshProcessError as error:
        raise RegistryError(f"cannot import {posggym_root}:\n{error}") from error


def agents_code(specs: Sequence[AgentSpec]) -> str:
    """Return the loops that add agents of one environment to its `policy_specs`."""
    groups = itertools.groupby(sorted(specs, key=_order), key=_shared_arguments)
    return "".join(f"\n\n{_loop(list(members))}" for _, members in groups)


def _by_module(specs: Sequence[AgentSpec]) -> dict[str, list[AgentSpec]]:
    modules: dict[str, list[AgentSpec]] = {}
    for spec in sorted(specs, key=_order):
        modules.setdefault(spec.module, []).append(spec)
    return modules


def _order(spec: AgentSpec) -> tuple[Any, ...]:
    """Sort key in a module: by id, with v10 after v9, but loops stay together."""
    # Text and numbers alternate, so text is never compared with a number.
    name: list[Any] = re.split(r"(\d+)", spec.policy_name)
    name[1::2] = map(int, name[1::2])
    args_id = spec.env_args_id or ""
    return spec.env_id, args_id, spec.version, _shared_arguments(spec), name


def _contents(
    posggym_root: Path, specs: Sequence[AgentSpec]
) -> dict[Path, bytes | None]:
    """Return the new content of each file that may change; None to remove the file."""
    contents = {path: _without_agents(path) for path in _marked_files(posggym_root)}
    init = posggym_root / AGENTS_INIT
    made = [path for path, content in contents.items() if content is None]
    init_source = _without_imports(init, [_module_of(posggym_root, p) for p in made])
    for module, members in _by_module(specs).items():
        path = posggym_root.joinpath(*module.split("."), "__init__.py")
        if path not in contents and path.exists():
            contents[path] = path.read_bytes()
        contents[path] = _with_agents(path, contents.get(path), members)
        package = path.parent.parent / "__init__.py"
        if not package.exists():
            contents[package] = _package(members[0].env_type)
    modules = {spec.module for spec in specs if spec.env_type != GYMNASIUM}
    contents[init] = _with_imports(init, init_source, modules).encode()
    return contents


def _module_of(posggym_root: Path, path: Path) -> str:
    return ".".join(path.parent.relative_to(posggym_root).parts)


def _marked_files(posggym_root: Path) -> list[Path]:
    agents = (posggym_root / AGENTS_INIT).parent
    return [
        path
        for path in sorted(agents.glob("*/*/__init__.py"))
        if MARK.encode() in path.read_bytes()
        and _loops(_parse(path, source := Source.of(path.read_bytes())), source)
    ]


def _package(env_type: str) -> bytes:
    if env_type == GYMNASIUM:
        return _GYMNASIUM_PACKAGE.encode()
    return f'"""Policies for {env_type} environments."""\n'.encode()


def _write(posggym_root: Path, contents: dict[Path, bytes | None]) -> list[Path]:
    """Write files that differ, and remove modules and packages that became empty."""
    changed = []
    for path, content in sorted(contents.items()):
        if content is None:
            _remove_module(path)
        elif not path.exists() or path.read_bytes() != content:
            write_bytes(path, content)
        else:
            continue
        changed.append(path)
    for init in (posggym_root / AGENTS_INIT).parent.glob("*/__init__.py"):
        if _is_alone(init) and init.read_bytes() == _package(init.parent.name):
            _remove_module(init)
            changed.append(init)
    return changed


def _remove_module(init: Path) -> None:
    """Remove an `__init__.py`, and its folder if it is empty otherwise."""
    alone = _is_alone(init)
    init.unlink()
    if alone:
        shutil.rmtree(init.parent)


def _is_alone(init: Path) -> bool:
    """Return whether a folder is empty except for compiled files."""
    return {path.name for path in init.parent.iterdir()} <= {init.name, "__pycache__"}


def _parse(path: Path, source: Source) -> ast.Module:
    try:
        # Bytes, because text with a byte order mark cannot be parsed.
        return ast.parse(source.text.encode("utf-8", "surrogateescape"))
    except (SyntaxError, ValueError) as error:
        raise RegistryError(f"{path} is not valid Python ({error})") from error


def _assigned_names(module: ast.Module) -> set[str]:
    """Return all names that a module assigns or imports."""
    names = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
    return names


def _used_names(module: ast.Module) -> set[str]:
    return {
        node.id
        for node in ast.walk(module)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _end_of_imports(module: ast.Module) -> int:
    """Return the number of the line after the imports, or after the docstring."""
    head = module.body[:1] if ast.get_docstring(module) is not None else []
    imports = [n for n in module.body if isinstance(n, ast.Import | ast.ImportFrom)]
    return max((node.end_lineno or 0 for node in head + imports), default=0)


# The module of an environment


def _folder_line(spec: AgentSpec) -> str:
    return f'agent_model_dir = AGENT_MODEL_DIR / "{spec.env_type}" / "{spec.env_name}"'


def _with_agents(path: Path, content: bytes | None, specs: list[AgentSpec]) -> bytes:
    """Return a module with agents added; its content is None for a new one."""
    first = specs[0]
    if content is None:
        source = Source(_SKELETON.format(env_id=first.env_id))
        source = source.inserted(2, *_IMPORTS.values(), "", _folder_line(first))
    else:
        source = Source.of(content)
    tree = _parse(path, source)
    names = _assigned_names(tree)
    if "policy_specs" not in names:
        raise RegistryError(
            f"{path} has no `policy_specs` to add {first.id} to; set another env_type "
            "or env_name"
        )
    folder = _folder_line(first)
    if "agent_model_dir" not in names:
        place = _place_of(tree, "policy_specs")
        source = source.inserted(place, folder)
    elif folder not in source.lines:
        raise RegistryError(f"{path}: `agent_model_dir` is not `{folder}`")
    imports = [line for name, line in _IMPORTS.items() if name not in names]
    source = source.inserted(_end_of_imports(tree), *imports)
    return source.appended(agents_code(specs)).encode()


def _place_of(module: ast.Module, name: str) -> int:
    """Return the line of a name's first assignment, or that after the imports."""
    for node in module.body:
        targets = (
            node.targets
            if isinstance(node, ast.Assign)
            else [node.target]
            if isinstance(node, ast.AnnAssign)
            else []
        )
        if any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return node.lineno - 1
    return _end_of_imports(module)


def _without_agents(path: Path) -> bytes | None:
    """Return a module as it was before agents were added; None if there was none."""
    source = Source.of(path.read_bytes())
    first = _agents_in(path, source)[0]
    for start, end in reversed(_loops(_parse(path, source), source)):
        source = source.removed(start, end)
    for name, line in {"agent_model_dir": _folder_line(first), **_IMPORTS}.items():
        if line in source.lines and name not in _used_names(_parse(path, source)):
            place = source.lines.index(line)
            source = source.removed(place, place + 1)
    skeleton = _SKELETON.format(env_id=first.env_id)
    return None if source.text.split() == skeleton.split() else source.encode()


def _agents_in(path: Path, source: Source) -> list[AgentSpec]:
    """Return the agents of a module's generated loops.

    Raises
    ------
    RegistryError
        If a loop is not what `agents_code` writes for its agents.
    """
    specs = []
    for start, end in _loops(_parse(path, source), source):
        code = "\n".join(source.lines[start:end]).lstrip("\n") + "\n"
        try:
            found = _specs_of_loop(code, path.parent.parent.name, path.parent.name)
            same = agents_code(found).lstrip("\n") == code
        except (AssertionError, LookupError, TypeError, ValueError) as error:
            raise RegistryError(_changed(path)) from error
        if not same:
            raise RegistryError(_changed(path))
        specs += found
    return specs


def _loops(module: ast.Module, source: Source) -> list[tuple[int, int]]:
    """Return the lines of generated loops, from 0: the first, and that after the last.

    The mark and the empty lines above it belong to them.
    """
    lines = source.lines
    return [
        (source.empty_before(node.lineno - 2), node.end_lineno or 0)
        for node in module.body
        if isinstance(node, ast.For)
        and node.lineno > 1
        and lines[node.lineno - 2] == MARK
    ]


def _changed(path: Path) -> str:
    return (
        f"{path}: the code below {MARK!r} was edited; restore it, or remove that "
        "line to keep the code as your own, and commit the change"
    )


# What makes POSGGym register a module


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


def _title(name: str) -> str:
    return name.replace("_", " ").title()


def _section(env_type: str) -> list[str]:
    return [f"# {_title(env_type)}", f"# {'-' * len(_title(env_type))}"]


def _registering(name: str) -> list[str]:
    """Return the lines that register the policies of an environment's module."""
    return [
        f"# {_title(name)}",
        f"for policy_spec in {name}.policy_specs.values():",
        "    register_spec(policy_spec)",
    ]


def _with_imports(init: Path, source: Source, modules: set[str]) -> Source:
    """Return `posggym/agents/__init__.py` with modules imported and registered."""
    missing = modules - imported_env_modules(_parse(init, source))
    sections = re.findall(r"^# (.+)\n# -+$", source.text, re.MULTILINE)
    last = sections[-1] if sections else ""

    def in_last_section_first(module: str) -> tuple[bool, str]:
        return _title(module.split(".")[2]) != last, module

    for module in sorted(missing, key=in_last_section_first):
        package, _, name = module.rpartition(".")
        source = _with_import(init, source, package, name)
        env_type = package.split(".")[2]
        header = [] if _title(env_type) == last else _section(env_type)
        last = _title(env_type)
        lines = ["", "", *header, *_registering(name)]
        source = source.inserted(len(source.lines), *lines)
    return source


def _with_import(init: Path, source: Source, package: str, name: str) -> Source:
    """Add an imported name to a module, next to the existing imports."""
    tree = _parse(init, source)
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    for node in imports:
        # One name per line, in parentheses.
        if node.module == package and node.lineno < node.names[0].lineno:
            after = [alias.lineno for alias in node.names if alias.name > name]
            place = min(after, default=node.names[-1].lineno + 1) - 1
            return source.inserted(place, f"    {name},")
    siblings = [node for node in imports if _is_env_type(init, node.module or "")]
    after = [node.lineno - 1 for node in siblings if str(node.module) > package]
    before = [node.end_lineno or 0 for node in siblings]
    place = min(after, default=max(before, default=_end_of_imports(tree)))
    return source.inserted(place, f"from {package} import (", f"    {name},", ")")


def _is_env_type(init: Path, package: str) -> bool:
    """Return whether a package contains packages, as those of environments do."""
    return any(init.parent.glob(f"{package.rpartition('.')[2]}/*/__init__.py"))


def _without_imports(init: Path, modules: Sequence[str]) -> Source:
    """Return `posggym/agents/__init__.py` as it was before `_with_imports`."""
    source = Source.of(init.read_bytes())
    modules = [m for m in modules if m.split(".")[2] != GYMNASIUM]
    for module in modules:
        package, _, name = module.rpartition(".")
        head, line = f"from {package} import (", f"    {name},"
        alone = _find_run(source, [head, line, ")"])
        lines = source.lines
        place = lines.index(line, lines.index(head)) if head in lines else -1
        run = _find_run(source, _registering(name))
        if place < 0 or run is None:
            raise RegistryError(
                f"{init}: the import or registration of {module} was edited; restore "
                "it, and commit the change"
            )
        start = source.empty_before(run)
        source = source.removed(start, run + len(_registering(name)))
        source = (
            source.removed(place, place + 1)
            if alone is None
            else source.removed(alone, alone + 3)
        )
    for env_type in {module.split(".")[2] for module in modules}:
        header = _section(env_type)
        at = _find_run(source, header)
        if at is not None and _is_empty_section(source.lines[at + 2 :]):
            source = source.removed(source.empty_before(at), at + 2)
    return source


def _is_empty_section(lines: list[str]) -> bool:
    """Return whether only empty lines come before the next section or the end."""
    first = next((i for i, line in enumerate(lines) if line), None)
    return first is None or bool(re.fullmatch("# -+", "".join(lines[first + 1 :][:1])))


def _find_run(source: Source, run: list[str]) -> int | None:
    """Return where some lines stand together."""
    lines = source.lines
    starts = range(len(lines) - len(run) + 1)
    return next((i for i in starts if lines[i : i + len(run)] == run), None)


# One loop


def _shared_arguments(spec: AgentSpec) -> str:
    """Return the code of a loop's body, which its agents share."""
    default = None if spec.env_args is None else default_args_id(spec.env_args)
    args_id = (
        f"env_args_id={_value(spec, spec.env_args_id)},"
        if spec.env_args_id != default
        else ""
    )
    folders = "".join(
        f" / {_value(spec, part)}" for part in spec.asset.parent.parts[2:]
    )
    return f"""
        env_id={_value(spec, spec.env_id)},
        env_args={_one_a_line(_value(spec, spec.env_args))},
        {args_id}
        policy_file_path=agent_model_dir{folders} / policy_file_name,
        version={spec.version},
        valid_agent_ids={_value(spec, spec.valid_agent_ids)},
        # policy is deterministic given random seed
        nondeterministic=False,
        # {_BY_WEIGHTS if spec.deterministic else _SAMPLED}
        deterministic={spec.deterministic},
        {_processor_arguments(spec, "obs", spec.obs_processor)}
        {_processor_arguments(spec, "action", spec.action_processor)}
    """


def _one_a_line(mapping: str) -> str:
    """Return the code of a mapping, with line breaks as in POSGGym's own code."""
    return mapping.removesuffix("}") + ",}" if ", " in mapping else mapping


def _processor_arguments(spec: AgentSpec, kind: str, processor: ProcessorSpec) -> str:
    name: str | None = f"processors.{processor.name}"
    # Without a processor, POSGGym uses actions unchanged, but flattens most
    # observations.
    if kind == "action" and processor.name == "IdentityProcessor":
        name = None
    return (
        f"{kind}_processor_cls={name},"
        f"{kind}_processor_config={_value(spec, processor.config or None)},"
    )


def _loop(specs: list[AgentSpec]) -> str:
    """Return the code for agents that differ only in name and description."""
    arguments = _shared_arguments(specs[0])
    files = [_value(spec, spec.asset.name) for spec in specs]
    texts = [spec.description for spec in specs]
    if len(set(texts)) == 1:
        target, items = "policy_file_name", files
        text = _wrapped(texts[0], "        description=")
    else:
        target, text = "policy_file_name, description", "description"
        items = [
            f"({file}, {_wrapped(text, ' ' * 8)})"
            for file, text in zip(files, texts, strict=True)
        ]
    code = f"""{MARK}
for {target} in [{", ".join(items)},]:
    spec = PPOPolicy.get_spec_from_path({arguments}
        description={text},
    )
    policy_specs[spec.id] = spec
"""
    return _formatted(re.sub(r"\n\s*\n", "\n", code))


def _wrapped(text: str, start: str) -> str:
    """Return the code of a text that follows `start` in its line; None for no text.

    Long ones are wrapped between words, as POSGGym's are: black leaves them whole.
    """
    if not text or len(f"{start}{text!r},") <= _LINE_LENGTH:
        return repr(text or None)
    # The parts are indented by one more level.
    room = _LINE_LENGTH - 12
    parts = [""]
    for word in re.findall(r"\S+\s*|\s+", text):
        if len(repr(parts[-1] + word)) > room and parts[-1]:
            parts.append("")
        parts[-1] += word
    return f"({' '.join(map(repr, parts))})"


def _specs_of_loop(code: str, env_type: str, env_name: str) -> list[AgentSpec]:
    """Return the agents of a loop that `_loop` wrote."""
    (loop,) = ast.parse(code).body
    assert isinstance(loop, ast.For)
    (call,) = (node for node in ast.walk(loop) if isinstance(node, ast.Call))
    arguments = {str(keyword.arg): keyword.value for keyword in call.keywords}
    path = arguments.pop("policy_file_path")
    assert isinstance(path, ast.BinOp)
    folders: list[str] = []
    while isinstance(path := path.left, ast.BinOp):
        folders.insert(0, ast.literal_eval(path.right))
    values = {
        name: ast.literal_eval(value)
        for name, value in arguments.items()
        if isinstance(value, ast.Constant | ast.Dict | ast.List)
    }
    version = values["version"]
    files = ast.literal_eval(loop.iter)
    if isinstance(loop.target, ast.Name):
        files = [(file, values["description"]) for file in files]
    return [
        AgentSpec(
            env_id=values["env_id"],
            env_args=values["env_args"],
            env_type=env_type,
            env_name=env_name,
            policy_name=file.removesuffix(".pkl"),
            version=version,
            valid_agent_ids=values["valid_agent_ids"],
            description=description or "",
            obs_processor=_processor_of(arguments, "obs"),
            action_processor=_processor_of(arguments, "action"),
            deterministic=values["deterministic"],
            env_args_id=values.get("env_args_id"),
            folder=next(iter(folders[: len(folders) - (version > 0)]), None),
        )
        for file, description in files
    ]


def _processor_of(arguments: dict[str, ast.expr], kind: str) -> ProcessorSpec:
    name = arguments[f"{kind}_processor_cls"]
    config = ast.literal_eval(arguments[f"{kind}_processor_config"])
    if not isinstance(name, ast.Attribute):
        return ProcessorSpec("IdentityProcessor")
    return ProcessorSpec(name.attr, config or {})


def _value(spec: AgentSpec, value: Any) -> str:
    """Return plain data as Python code."""
    if value is None or isinstance(value, str | bool | int):
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
        items = [f"{_value(spec, k)}: {_value(spec, v)}" for k, v in value.items()]
        return "{" + ", ".join(items) + "}"
    raise RegistryError(
        f"{spec.id}: {value!r} of type {type(value).__name__} cannot be written as an "
        "argument"
    )


def _formatted(code: str) -> str:
    # On demand, because reading registration code does without it.
    import black

    return black.format_str(code, mode=black.Mode(line_length=_LINE_LENGTH))
