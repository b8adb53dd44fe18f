"""Generating POSGGym's documentation pages of agents from its registry.

For an unmodified posggym, the pages are byte-identical to its own. Call these functions
in a process that has imported the posggym tree to be documented.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import posggym
import posggym.agents
from posggym.agents.registration import PolicySpec
from posggym.config import AGENT_MODEL_DIR

from pgpelib.utils.files import write_json, write_text
from posggym_gymnasium import is_gymnasium

_GENERIC_NOTE = "These policies can be used for any version of this environment.\n\n\n"


class DocsError(ValueError):
    """A page cannot be generated; the message names the environment and the reason."""


def write_pages(docs_root: Path, env_ids: Sequence[str] | None = None) -> list[Path]:
    """Write `<docs_root>/agents/<env type>/<env_name>.md` for environments.

    Parameters
    ----------
    docs_root
        Folder of the documentation.
    env_ids
        POSGGym ids; None for all environments with policies, plus the page of generic
        policies, `agents/generic.md`.

    Returns
    -------
    list of Path
        The pages, in the order of the ids.

    Raises
    ------
    DocsError
        If no policies are registered for an environment, or two environments would
        share a page.
    """
    registered = posggym.agents.get_all_envs()
    pages: dict[Path, str] = {}
    if env_ids is None:
        pages[docs_root / "agents" / "generic.md"] = render_generic_page()
    for env_id in sorted(registered) if env_ids is None else env_ids:
        if env_id not in registered:
            raise DocsError(f"{env_id}: no policies are registered")
        specs = posggym.agents.get_all_env_policies(
            env_id, include_generic_policies=False
        )
        env_type, env_name = env_location(env_id, specs)
        page = docs_root / "agents" / env_type / f"{env_name}.md"
        if page in pages:
            raise DocsError(
                f"{env_id}: another environment already has the page "
                f"{env_type}/{env_name}; register its agents with another env_name"
            )
        pages[page] = render_page(env_id, env_type, env_name, specs)
    for page, text in pages.items():
        write_text(page, text)
    return [*pages]


def env_location(env_id: str, specs: Sequence[PolicySpec]) -> tuple[str, str]:
    """Return the type and name of an environment in POSGGym's folder layout.

    For POSGGym's own environments they come from the module, for others from the paths
    of the policy files.

    Raises
    ------
    DocsError
        If neither is available.
    """
    spec = posggym.envs.registry.get(env_id)
    if spec is not None:
        module = str(spec.entry_point).partition(":")[0].split(".")
        if module[:2] == ["posggym", "envs"] and len(module) == 4:
            return module[2], module[3]
    for policy in specs:
        file = policy.kwargs.get("policy_file_path")
        if file is not None and Path(file).is_relative_to(AGENT_MODEL_DIR):
            folders = Path(file).relative_to(AGENT_MODEL_DIR).parent.parts
            if len(folders) >= 2:
                return folders[0], folders[1]
    raise DocsError(
        f"{env_id}: it is not one of posggym's environments, and the paths of its "
        "policy files do not contain its type"
    )


def render_page(
    env_id: str, env_type: str, env_name: str, specs: Sequence[PolicySpec]
) -> str:
    """Return the page of an environment, in POSGGym's format.

    Policies for any arguments come first, followed by one section per `env_args_id`, in
    sorted order. Within a section, policies are in the order of registration.
    """
    text = _head(env_name.replace("_", " ").title(), _about(env_id, env_type, env_name))
    sections: dict[str | None, list[PolicySpec]] = {}
    for spec in specs:
        sections.setdefault(spec.env_args_id, []).append(spec)
    for args_id in sorted(sections, key=lambda args_id: args_id or ""):
        members = sections[args_id]
        text += f"## {args_id or 'Generic'}\n"
        text += _GENERIC_NOTE if args_id is None else ""
        imports = "import posggym_gymnasium\n\n" if is_gymnasium(env_id) else ""
        call = make_call(env_id, members[0].env_args)
        text += f"\n```\n{imports}env = {call}\n```\n\n\n"
        text += policy_table(members)
    return text


def make_call(env_id: str, env_args: dict[str, Any] | None) -> str:
    """Return the `posggym.make` call of an environment, with one argument per line."""
    if not env_args:
        return f'posggym.make("{env_id}")'
    lines = [f'    "{env_id}"']
    for name, value in env_args.items():
        # Strings in JSON are like those in Python formatted by black.
        literal = (
            json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value
        )
        lines.append(f"    {name}={literal}")
    return "posggym.make(\n" + ",\n".join(lines) + "\n)"


def render_generic_page() -> str:
    """Return the page of policies for any environment, in POSGGym's format."""
    about = (
        "These are generic policies that can be used for all or multiple environments."
    )
    specs = [s for s in posggym.agents.registry.values() if s.env_id is None]
    return f"{_head('Generic', about)}\n{policy_table(specs)}"


def _head(title: str, about: str) -> str:
    return f"---\nautogenerated:\ntitle: {title}\n---\n\n# {title}\n\n{about}\n\n"


def _about(env_id: str, env_type: str, env_name: str) -> str:
    """Return the sentence that says which environment a page is about."""
    if is_gymnasium(env_id):
        # POSGGym's documentation does not have a page on it.
        return (
            f"These policies are for the {env_id} environment of Gymnasium. The "
            "package `posggym_gymnasium` registers the environment and the policies."
        )
    title = env_name.replace("_", " ").title()
    return (
        f"These policies are for the <a href='../../../environments/{env_type}/"
        f"{env_name}'>{title} environment</a>. Read environment page for detailed "
        "information about the environment."
    )


def policy_table(specs: Sequence[PolicySpec]) -> str:
    """Return the table of policies."""
    rows = ["| Policy | ID | Valid Agent IDs | Description |", "|" + "---|" * 4]
    for spec in specs:
        # POSGGym's pages show lists and None as Python prints them.
        agents = f"`{spec.valid_agent_ids}`" if spec.valid_agent_ids else "All"
        name, policy_id = f"`{spec.policy_name}`", f"`{spec.id}`"
        cells = [name, policy_id, agents, str(spec.description)]
        rows.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    """Escape text for a cell of a Markdown table."""
    return " ".join(text.replace("|", "\\|").splitlines())


def main() -> None:
    """Write pages to a JSON file, keyed by id, except for environments without agents.

    `sys.argv[1]` is the file; the other arguments are POSGGym ids.
    """
    registered = posggym.agents.get_all_envs()
    pages = {}
    for env_id in sys.argv[2:]:
        if env_id in registered:
            specs = posggym.agents.get_all_env_policies(
                env_id, include_generic_policies=False
            )
            pages[env_id] = render_page(env_id, *env_location(env_id, specs), specs)
    write_json(Path(sys.argv[1]), pages)


if __name__ == "__main__":
    main()
