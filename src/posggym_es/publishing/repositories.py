"""Registering, unregistering and publishing agents in real repositories.

There are two repositories: posggym (registration code and documentation) and the models
repository (policy files). The pipeline works on its own clones and branches. It finds
the agents that it registered in the generated code, so the branches contain only what
their maintainers would merge, and a list for `posggym_es.register_agents`.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pgpelib.utils.files import write_bytes, write_json, write_text
from posggym_es.agents.manifest import write_manifest
from posggym_es.models.posggym_model_file import read_model_file
from posggym_es.publishing.git_repos import GitClone, GitError, run_git
from posggym_es.publishing.toctree import (
    add_entry,
    has_entry,
    neighbours_ending,
    remove_entry,
)
from posggym_es.registration.registry_files import (
    AGENTS_INIT,
    existing_ids,
    generated_specs,
    register,
)
from posggym_es.registration.spec import MODELS_ROOT, AgentSpec
from posggym_es.utils.fresh_process import FreshProcessError, run_with_tree
from posggym_gymnasium.ids import ENV_TYPE as GYMNASIUM

DOCS = Path("docs/agents")

# When POSGGym downloads a file, it creates the file's folder, but not its parents. They
# are missing in clones, and in installations for environments without any files.
_DOWNLOAD = Path("posggym/agents/utils/download.py")
_ONE_FOLDER = "dest_dir.mkdir(exist_ok=True)"
_ALL_FOLDERS = "dest_dir.mkdir(parents=True, exist_ok=True)"


class RepositoryError(ValueError):
    """Registering or publishing failed; the message names the id or file and why."""


def _differences(spec: AgentSpec, other: AgentSpec) -> list[str]:
    """Return the fields that differ, ignoring descriptions."""
    return [
        field.name
        for field in dataclasses.fields(AgentSpec)
        if field.name not in ("description", "policy_sha256")
        and getattr(spec, field.name) != getattr(other, field.name)
    ]


@dataclasses.dataclass(frozen=True)
class Repositories:
    """The pipeline's clones.

    Parameters
    ----------
    posggym
        Clone of posggym.
    models
        Clone of the models repository.
    """

    posggym: GitClone
    models: GitClone

    @classmethod
    def of(
        cls, posggym_repo: str, agent_models_repo: str, branch: str, folder: Path
    ) -> Repositories:
        """Create clones of two repositories in a folder."""
        return cls(
            GitClone(posggym_repo, folder / "posggym", branch),
            GitClone(agent_models_repo, folder / "agent-models", branch),
        )

    def open(self) -> None:
        """Clone the repositories, or update the clones.

        Raises
        ------
        GitError
            See `GitClone.open`.
        RepositoryError
            If the first one is not a posggym repository.
        """
        self.models.open()
        self.posggym.open()
        if not (self.posggym.folder / AGENTS_INIT).is_file():
            raise RepositoryError(
                f"posggym_repo: {self.posggym.source} has no {AGENTS_INIT}; it is "
                "not a posggym repository"
            )

    def agents(self) -> dict[str, AgentSpec]:
        """Return the agents registered on the branch, keyed by id.

        Raises
        ------
        RegistryError
            If generated code was edited.
        """
        return {spec.id: spec for spec in generated_specs(self.posggym.folder)}

    def model(self, spec: AgentSpec) -> Path:
        """Return the path of an agent's policy file in the clone."""
        return self.models.folder / MODELS_ROOT / spec.asset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `from_arguments` reads."""
    parser.add_argument(
        "--posggym_repo", required=True, help="a local checkout or a git URL"
    )
    parser.add_argument(
        "--agent_models_repo", required=True, help="a local checkout or a git URL"
    )
    parser.add_argument("--branch", required=True, help="branch to work on, in both")
    parser.add_argument(
        "--clones", type=Path, required=True, help="folder of the pipeline's clones"
    )


def from_arguments(args: argparse.Namespace) -> Repositories:
    """Return the clones given by the arguments of `add_arguments`."""
    return Repositories.of(
        args.posggym_repo, args.agent_models_repo, args.branch, args.clones
    )


def register_agents(
    repositories: Repositories, agents: Sequence[tuple[AgentSpec, Path]]
) -> dict[str, Any]:
    """Register agents on the branches, one commit in each repository.

    Parameters
    ----------
    repositories
        The clones; they are opened.
    agents
        Specs and their policy files.

    Returns
    -------
    dict
        `added` (ids) and the heads of both branches. Agents that are already registered
        with the same content are skipped; if all are, nothing is committed.

    Raises
    ------
    RepositoryError
        If an id is registered with different content; the message suggests a version.
    RegistryError
        If agents cannot be registered in the tree, or generated code was edited.
    GitError
        See `GitClone.open`.
    """
    repositories.open()
    before = repositories.agents()
    after = dict(before)
    for spec, file in agents:
        data, target = spec.policy_bytes(file), repositories.model(spec)
        known = after.setdefault(spec.id, spec)
        changed = _differences(known, spec)
        if target.exists() and target.read_bytes() != data:
            changed.append("policy file")
        if changed:
            raise RepositoryError(
                f"{spec.id} already exists in {repositories.posggym.source} or "
                f"{repositories.models.source} with a different "
                f"{' and '.join(changed)}; "
                f"set register.version: {_next_version(spec, after)}"
            )
        write_bytes(target, data)
    added = [policy_id for policy_id in after if policy_id not in before]
    title = f"Add {_listed(added)}" if added else "Update generated code and pages"
    _apply(repositories, before, after, title)
    return {"added": added, **_heads(repositories)}


def unregister_agent(repositories: Repositories, policy_id: str) -> dict[str, Any]:
    """Remove an agent from both repositories, with one commit in each.

    Raises
    ------
    RepositoryError
        If the id is not registered on the branch.
    """
    repositories.open()
    before = repositories.agents()
    if policy_id not in before:
        known = "\n  ".join(before) or "none"
        raise RepositoryError(
            f"{policy_id} was not registered by this pipeline; registered agents are\n"
            f"  {known}"
        )
    after = {key: spec for key, spec in before.items() if key != policy_id}
    # An interrupted run may have removed it already.
    repositories.model(before[policy_id]).unlink(missing_ok=True)
    _apply(repositories, before, after, f"Remove {policy_id}")
    return {"removed": [policy_id], **_heads(repositories)}


def _heads(repositories: Repositories) -> dict[str, str]:
    return {
        "models_commit": repositories.models.head,
        "posggym_commit": repositories.posggym.head,
    }


def _apply(
    repositories: Repositories,
    before: dict[str, AgentSpec],
    after: dict[str, AgentSpec],
    title: str,
) -> None:
    """Update all that lists a set of agents, and commit."""
    clone, specs = repositories.posggym, list(after.values())
    register(clone.folder, [])
    # Only new agents can have an id that posggym itself has.
    has_new = bool(after.keys() - before.keys())
    taken = existing_ids(clone.folder) if has_new else ()
    register(clone.folder, specs, frozenset(taken))
    _fix_download(clone, bool(specs))
    if (clone.folder / DOCS).is_dir():
        _write_docs(clone, before, after)
    write_manifest(repositories.models.folder, specs)
    # Policy files first, so that registered agents have one even after an interruption.
    posggym, models = repositories.posggym, repositories.models
    registered = f"Registered with posggym-es in {posggym.public_source}"
    files = f"Registered with posggym-es; policy files in {models.public_source}"
    models.commit(f"{title}\n\n{registered}")
    posggym.commit(f"{title}\n\n{files}")


def _listed(ids: Sequence[str]) -> str:
    if len(ids) == 1:
        return f"policy {ids[0]}"
    return f"{len(ids)} policies\n\n" + "\n".join(ids)


def _next_version(spec: AgentSpec, agents: dict[str, AgentSpec]) -> int:
    version = spec.version + 1
    while dataclasses.replace(spec, version=version).id in agents:
        version += 1
    return version


def _fix_download(clone: GitClone, needed: bool) -> None:
    """Make POSGGym create all folders of a download, as long as agents need that."""
    path = clone.folder / _DOWNLOAD
    old = path.read_bytes() if path.exists() else b""
    one, every = _ONE_FOLDER.encode(), _ALL_FOLDERS.encode()
    original = clone.original(_DOWNLOAD)
    if needed:
        new = old.replace(one, every)
    elif original is not None and original.replace(one, every) == old:
        new = original
    else:
        new = old
    if new != old:
        write_bytes(path, new)


def _write_docs(
    clone: GitClone, before: dict[str, AgentSpec], after: dict[str, AgentSpec]
) -> None:
    """Write the pages of the agents' environments, and list new ones in the toctrees.

    Pages of environments whose last agent was removed get their original content back.
    """
    specs = [*before.values(), *after.values()]
    pages = {(spec.env_type, spec.env_name): spec.env_id for spec in specs}
    texts = _rendered_pages(clone.folder, [*pages.values()])
    still = {(spec.env_type, spec.env_name) for spec in after.values()}
    for (env_type, env_name), env_id in sorted(pages.items()):
        page = DOCS / env_type / f"{env_name}.md"
        content = texts.get(env_id, "").encode()
        if (env_type, env_name) not in still:
            original = clone.original(page) or b""
            # Not if the branch was merged: then the original contains the agents.
            if not any(policy_id.encode() in original for policy_id in before):
                content = original
        listing = DOCS / f"{env_type}.md"
        entry = f"{env_type}/{env_name}"
        if content:
            write_bytes(clone.folder / page, content)
            _list_page(clone, listing, entry)
        else:
            (clone.folder / page).unlink(missing_ok=True)
            _unlist_page(clone, listing, entry)


def _list_page(clone: GitClone, listing: Path, entry: str) -> None:
    """Add a page to the toctree of its type, which is created and listed if missing."""
    path = clone.folder / listing
    if not path.exists():
        write_text(path, _new_listing(listing.stem))
        _edit(
            clone.folder / "docs" / "index.md",
            lambda text: add_entry(text, _as_neighbours(text, f"agents/{path.stem}")),
        )
    _edit(path, lambda text: add_entry(text, _as_neighbours(text, entry)))


def _unlist_page(clone: GitClone, listing: Path, entry: str) -> None:
    """Undo `_list_page`; original entries remain."""
    path = clone.folder / listing
    original = (clone.original(listing) or b"").decode("utf-8", "replace")
    if has_entry(original, _as_neighbours(original, entry)):
        return
    _edit(path, lambda text: remove_entry(text, _as_neighbours(text, entry)))
    if path.exists() and path.read_text("utf-8") == _new_listing(listing.stem):
        path.unlink()
        _edit(
            clone.folder / "docs" / "index.md",
            lambda text: remove_entry(
                text, _as_neighbours(text, f"agents/{path.stem}")
            ),
        )


def _as_neighbours(text: str, entry: str) -> str:
    """Return an entry with the ending of other entries in the same folder."""
    return entry + neighbours_ending(text, entry)


def _edit(path: Path, change: Callable[[str], str]) -> None:
    if path.exists():
        # Bytes, to preserve line endings.
        old = path.read_bytes().decode("utf-8")
        new = change(old)
        if new != old:
            write_bytes(path, new.encode())


def _new_listing(env_type: str) -> str:
    title = env_type.replace("_", "-").title()
    about = f"POSGGym currently supports the following {title.lower()} environments:"
    if env_type == GYMNASIUM:
        about = (
            "The package `posggym_gymnasium` adds the following environments of "
            "Gymnasium:"
        )
    return (
        f"---\nfirstpage:\ntitle: {title}\nlastpage:\n---\n\n# {title}\n\n"
        f"{about}\n\n"
        "```{toctree}\n:maxdepth: 1\n\n\n```\n"
    )


def _rendered_pages(root: Path, env_ids: Sequence[str]) -> dict[str, str]:
    """Return the pages of environments with agents, keyed by id.

    They are rendered in a process that imports the tree.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "pages.json"
        module = "posggym_es.publishing.posggym_docs"
        try:
            run_with_tree(root, module, str(output), *env_ids)
        except FreshProcessError as error:
            raise RepositoryError(f"{root}: {error.reason}") from error
        return dict(json.loads(output.read_text("utf-8")))


def publishing_plan(repositories: Repositories) -> str:
    """Return a readable list of the commits that `publish` would push."""
    lines = []
    for clone in (repositories.models, repositories.posggym):
        commits = clone.unpublished()
        lines.append(f"{clone.source}, branch {clone.branch}: {len(commits)} commits")
        lines += [f"  {commit}" for commit in commits]
    return "\n".join(lines)


def publish(repositories: Repositories, agent_models_url: str | None) -> list[str]:
    """Push both branches, and check that each agent works as published.

    Before pushing, all policy files on the branch are checked, including those pushed
    by others. After pushing, the posggym branch is cloned. Each agent's policy file is
    downloaded from its published URL, checked and then loaded, and the agent plays an
    episode.

    Parameters
    ----------
    repositories
        The clones, after `register_agents`.
    agent_models_url
        Base URL of the raw files on the published models branch; None for the URL in
        the posggym branch.

    Returns
    -------
    list of str
        Ids of the checked agents.

    Raises
    ------
    GitError
        If a clone has uncommitted changes or has diverged, or a push fails. The models
        branch is pushed first; publishing again completes an interrupted publication.
    RepositoryError
        If a file on the branch is not a policy file, or a published agent cannot be
        downloaded, created or played.
    """
    clones = (repositories.models, repositories.posggym)
    for clone in clones:
        if not (clone.folder / ".git").exists():
            raise GitError(f"{clone.folder} does not exist; register agents first")
        clone.check_publishable()
    agents = repositories.agents()
    digests = _digests(repositories, agents)
    for clone in clones:
        clone.push()
    if agents:
        _prove_published(repositories, agents, digests, agent_models_url)
    return list(agents)


def _digests(
    repositories: Repositories, agents: dict[str, AgentSpec]
) -> dict[str, str]:
    """Check all policy files on the branch, and return the SHA-256 of each agent's."""
    for name in repositories.models.changed("*.pkl"):
        _checked_model(repositories, repositories.models.folder / name)
    digests = {}
    for policy_id, spec in agents.items():
        file = repositories.model(spec)
        if not file.is_file():
            raise RepositoryError(
                f"{policy_id}: {repositories.models.source} has no "
                f"{MODELS_ROOT / spec.asset}; register it again"
            )
        _checked_model(repositories, file)
        digests[policy_id] = hashlib.sha256(file.read_bytes()).hexdigest()
    return digests


def _checked_model(repositories: Repositories, file: Path) -> None:
    try:
        read_model_file(file)
    except ValueError as error:
        name = file.relative_to(repositories.models.folder)
        reason = str(error).removeprefix(f"{file}: ")
        raise RepositoryError(
            f"{repositories.models.source}: {name} on branch "
            f"{repositories.models.branch} is not valid: {reason}"
        ) from error


def _prove_published(
    repositories: Repositories,
    agents: dict[str, AgentSpec],
    digests: dict[str, str],
    url: str | None,
) -> None:
    posggym = repositories.posggym
    # POSGGym looks for the first folder called "agents" in its path, so no parent may
    # have that name.
    with tempfile.TemporaryDirectory(prefix="published-") as folder:
        tree = Path(folder) / "posggym-clone"
        run = run_git(
            "clone", "--quiet", "--branch", posggym.branch, posggym.url(), str(tree)
        )
        if run.returncode:
            raise GitError(f"{posggym.source}: {run.stderr.strip()}")
        listed = Path(folder) / "agents.json"
        items = [
            {"spec": spec.to_json(), "sha256": digests[policy_id]}
            for policy_id, spec in agents.items()
        ]
        write_json(listed, items)
        module = "posggym_es.publishing.publication"
        try:
            run_with_tree(tree, module, str(listed), url or "")
        except FreshProcessError as error:
            raise RepositoryError(
                f"published, but it does not work: {error.reason}"
            ) from error
