"""Registering, unregistering and publishing agents in real repositories.

Two repositories take part: posggym (registration code, documentation) and the models
repository (policy files). The pipeline works on clones and branches of its own. A
manifest in the models repository lists the agents that are registered this way, so that
later runs add to earlier ones and can take agents out again.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pgpelib.files import read_json, write_bytes, write_json, write_text
from posggym_es.fresh_process import FreshProcessError, run_with_tree
from posggym_es.git_repos import GitClone, GitError, run_git
from posggym_es.registry import (
    AGENTS_INIT,
    check_blocks,
    existing_ids,
    register,
)
from posggym_es.schema_check import refuse_mistakes
from posggym_es.spec import ASSETS_ROOT, MODELS_ROOT, AgentSpec
from posggym_es.toctree import add_entry, remove_entry

MANIFEST = "posggym-es.json"
DOCS = Path("docs/agents")
# Keeps the folder of policy files in git: POSGGym downloads a missing file into it, and
# makes no more than one level of folders for that.
PLACEHOLDER = ".gitkeep"

_MANIFEST_SCHEMA = {
    "type": "object",
    "required": ["agents"],
    "properties": {
        "agents": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["spec", "sha256"],
                "properties": {
                    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"}
                },
            },
        }
    },
}


class RepositoryError(ValueError):
    """Agents that cannot be registered in a repository; names id or file and why."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """An agent in the manifest.

    Parameters
    ----------
    spec
        How it is registered.
    sha256
        Of its policy file.
    """

    spec: AgentSpec
    sha256: str

    def differences(self, other: Entry) -> list[str]:
        """Return what makes the other another agent; a description does not."""
        fields = [field.name for field in dataclasses.fields(AgentSpec)]
        return [
            name
            for name in fields
            if name not in ("description", "policy_sha256")
            and getattr(self.spec, name) != getattr(other.spec, name)
        ] + (["policy file"] if self.sha256 != other.sha256 else [])


@dataclasses.dataclass(frozen=True)
class Repositories:
    """The pipeline's clones.

    Parameters
    ----------
    posggym, models
        Of posggym, and of the models repository.
    """

    posggym: GitClone
    models: GitClone

    @classmethod
    def of(
        cls, posggym_repo: str, agent_models_repo: str, branch: str, folder: Path
    ) -> Repositories:
        """Return clones below a folder."""
        return cls(
            GitClone(posggym_repo, folder / "posggym", branch),
            GitClone(agent_models_repo, folder / "agent-models", branch),
        )

    @property
    def manifest(self) -> Path:
        """The list of the agents that this project registered, and of their files."""
        return self.models.folder / MANIFEST

    def open(self) -> None:
        """Make the clones or bring them up to date.

        Raises
        ------
        GitError
            See `GitClone.open`.
        RepositoryError
            If the first one is no posggym.
        """
        self.models.open()
        self.posggym.open()
        if not (self.posggym.folder / AGENTS_INIT).is_file():
            raise RepositoryError(
                f"posggym_repo: {self.posggym.source} has no {AGENTS_INIT}; it is no "
                "posggym repository"
            )

    def entries(self) -> dict[str, Entry]:
        """Return the agents of the manifest by id.

        Raises
        ------
        RepositoryError
            If somebody damaged the manifest.
        """
        if not self.manifest.exists():
            return {}
        try:
            data = read_json(self.manifest)
            refuse_mistakes(data, _MANIFEST_SCHEMA)
            entries = [
                Entry(AgentSpec.from_json(item["spec"]), item["sha256"])
                for item in data["agents"]
            ]
        except ValueError as error:
            raise RepositoryError(
                f"{self.models.source}: {MANIFEST} on branch {self.models.branch} is "
                f"damaged: {error}"
            ) from error
        return {entry.spec.id: entry for entry in entries}


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
        "--clones", type=Path, required=True, help="folder of the pipeline's own clones"
    )


def from_arguments(args: argparse.Namespace) -> Repositories:
    """Return the clones that a command line names."""
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
        `added` (ids) and the heads of both branches. Agents that are there with the
        same content are skipped, and without new ones nothing is committed.

    Raises
    ------
    RepositoryError
        If an id is there with other content; the next version is proposed.
    RegistryError
        If the tree cannot be registered in, or somebody changed the generated code.
    GitError
        See `GitClone.open`.
    """
    repositories.open()
    entries = repositories.entries()
    before = dict(entries)
    models = repositories.models.folder
    for spec, file in agents:
        data = spec.policy_bytes(file)
        entry = Entry(spec, hashlib.sha256(data).hexdigest())
        known = entries.get(spec.id)
        if known is not None:
            changed = known.differences(entry)
            if changed:
                raise RepositoryError(
                    f"{spec.id}: is registered in {repositories.posggym.source} with "
                    f"another {' and '.join(changed)}; set register.version: "
                    f"{_next_version(spec, entries)}"
                )
            continue
        target = models / MODELS_ROOT / spec.asset
        if target.exists() and target.read_bytes() != data:
            raise RepositoryError(
                f"{spec.id}: {repositories.models.source} has another "
                f"{MODELS_ROOT / spec.asset}; set register.version: "
                f"{_next_version(spec, entries)}"
            )
        write_bytes(target, data)
        entries[spec.id] = entry
    added = [policy_id for policy_id in entries if policy_id not in before]
    message = f"Add {_listed(added)}" if added else "Renew generated code and pages"
    _apply(repositories, before, entries, message)
    return {"added": added, **_heads(repositories)}


def unregister_agent(repositories: Repositories, policy_id: str) -> dict[str, Any]:
    """Take an agent out of both repositories, one commit in each.

    Raises
    ------
    RepositoryError
        If the id is not in the manifest.
    """
    repositories.open()
    entries = repositories.entries()
    if policy_id not in entries:
        known = "\n  ".join(entries) or "none"
        raise RepositoryError(
            f"{policy_id}: not registered by this pipeline; registered are\n  {known}"
        )
    before = dict(entries)
    entry = entries.pop(policy_id)
    (repositories.models.folder / MODELS_ROOT / entry.spec.asset).unlink()
    _apply(repositories, before, entries, f"Remove {policy_id}")
    return {"removed": [policy_id], **_heads(repositories)}


def _heads(repositories: Repositories) -> dict[str, str]:
    return {
        "models_commit": repositories.models.head,
        "posggym_commit": repositories.posggym.head,
    }


def _apply(
    repositories: Repositories,
    before: dict[str, Entry],
    entries: dict[str, Entry],
    message: str,
) -> None:
    """Make manifest, registration code and documentation those of the entries."""
    manifest = [
        {"spec": entry.spec.to_json(), "sha256": entry.sha256}
        for _, entry in sorted(entries.items())
    ]
    root = repositories.posggym.folder
    specs = [entry.spec for entry in entries.values()]
    former = [entry.spec for entry in before.values()]
    check_blocks(root, [former, specs])
    register(root, [])
    register(root, specs, frozenset(existing_ids(root)))
    for spec in specs:
        placeholder = (root / ASSETS_ROOT / spec.asset).parent / PLACEHOLDER
        if not placeholder.exists():
            write_bytes(placeholder, b"")
    if (root / DOCS).is_dir():
        _write_docs(root, [*former, *specs])
    write_json(repositories.manifest, {"agents": manifest})
    # The manifest comes last: until it is committed, the next run does all this again.
    repositories.posggym.commit(message)
    repositories.models.commit(message)


def _listed(ids: Sequence[str]) -> str:
    if len(ids) == 1:
        return f"policy {ids[0]}"
    return f"{len(ids)} policies\n\n" + "\n".join(ids)


def _next_version(spec: AgentSpec, entries: dict[str, Entry]) -> int:
    version = spec.version + 1
    while dataclasses.replace(spec, version=version).id in entries:
        version += 1
    return version


def _write_docs(root: Path, specs: Sequence[AgentSpec]) -> None:
    """Write the pages of the agents' environments, and list new ones in the toctrees.

    Pages of environments without agents are removed.
    """
    pages = {(spec.env_type, spec.env_name): spec.env_id for spec in specs}
    texts = _rendered_pages(root, [*pages.values()])
    for (env_type, env_name), env_id in pages.items():
        text = texts.get(env_id)
        page = root / DOCS / env_type / f"{env_name}.md"
        entry = f"{env_type}/{env_name}.md"
        listing = root / DOCS / f"{env_type}.md"
        if text is None:
            page.unlink(missing_ok=True)
            _edit(listing, lambda old, e=entry: remove_entry(old, e))
        else:
            write_text(page, text)
            if not listing.exists():
                write_text(listing, _new_listing(env_type))
                _edit(
                    root / "docs" / "index.md",
                    lambda old, t=env_type: add_entry(old, f"agents/{t}"),
                )
            _edit(listing, lambda old, e=entry: add_entry(old, e))


def _edit(path: Path, change: Any) -> None:
    if path.exists():
        old = path.read_text(encoding="utf-8")
        new = change(old)
        if new != old:
            write_text(path, new)


def _new_listing(env_type: str) -> str:
    title = env_type.replace("_", " ").title()
    return (
        f"---\nfirstpage:\ntitle: {title}\nlastpage:\n---\n\n# {title}\n\n"
        f"POSGGym has agents for the following {title} environments:\n\n"
        "```{toctree}\n:maxdepth: 1\n\n\n```\n"
    )


def _rendered_pages(root: Path, env_ids: Sequence[str]) -> dict[str, str]:
    """Return the pages of those environments that have agents.

    They are made in a process that uses the tree.
    """
    code = (
        "import sys, posggym.agents\n"
        "from pathlib import Path\n"
        "from posggym_es.agent_pages import write_pages\n"
        "with_agents = posggym.agents.get_all_envs()\n"
        "for i, env_id in enumerate(sys.argv[2:]):\n"
        "    if env_id in with_agents:\n"
        "        write_pages(Path(sys.argv[1]) / str(i), [env_id])\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        try:
            run_with_tree(root, code, folder, *env_ids)
        except FreshProcessError as error:
            raise RepositoryError(f"{root}: {error.reason}") from error
        return {
            env_ids[int(page.relative_to(folder).parts[0])]: page.read_text("utf-8")
            for page in Path(folder).rglob("*.md")
        }


def publishing_plan(repositories: Repositories) -> str:
    """Return what a publication would push where, for people."""
    lines = []
    for clone in (repositories.models, repositories.posggym):
        commits = clone.unpublished()
        lines.append(f"{clone.source}, branch {clone.branch}: {len(commits)} commits")
        lines += [f"  {commit}" for commit in commits]
    return "\n".join(lines)


def publish(repositories: Repositories, agent_models_url: str | None) -> list[str]:
    """Push both branches, and prove that each agent can be made from what was pushed.

    The proof clones the posggym branch anew, without any policy file, and makes every
    agent of the manifest by its id: POSGGym downloads the file from the models
    repository, and the agent plays an episode.

    Parameters
    ----------
    repositories
        The clones, as `register_agents` left them.
    agent_models_url
        Where the raw files of the published models branch are served; None for the
        address that the posggym branch itself names.

    Returns
    -------
    list of str
        The ids proved.

    Raises
    ------
    GitError
        If a clone is dirty or diverged, or a push fails. Pushing again completes an
        interrupted publication: the models branch goes first.
    RepositoryError
        If the published agents cannot be made, downloaded or played.
    """
    clones = (repositories.models, repositories.posggym)
    for clone in clones:
        if not (clone.folder / ".git").exists():
            raise GitError(f"{clone.folder}: nothing is registered there yet")
        clone.check_publishable()
    for clone in clones:
        clone.push()
    entries = repositories.entries()
    if entries:
        _prove_published(repositories, agent_models_url)
    return list(entries)


_PROOF = """
import hashlib, sys
from pathlib import Path
import posggym.config
if sys.argv[2]:
    posggym.config.AGENT_MODEL_REPO_URL = sys.argv[2]
import posggym.agents
from pgpelib.files import read_json
from posggym_es.environments import make_episodes
from posggym_es.playing import Company, Player
from posggym_es.spec import AgentSpec
for item in read_json(Path(sys.argv[1]))["agents"]:
    spec = AgentSpec.from_json(item["spec"])
    file = posggym.config.AGENT_MODEL_DIR / spec.asset
    assert not file.exists(), f"{file} is there before the download"
    role = spec.valid_agent_ids[0] if spec.valid_agent_ids else None
    company = Company(role, ["Random-v0"] if role is not None else [])
    episodes = make_episodes(spec.env_id, spec.env_args)
    try:
        _, steps = Player(
            episodes,
            company,
            lambda model, agent: posggym.agents.make(spec.id, model, agent),
        ).play(0)
    except Exception as error:
        sys.exit(f"{spec.id}: {type(error).__name__}: {error}")
    assert steps > 0
    episodes.env.close()
    if hashlib.sha256(file.read_bytes()).hexdigest() != item["sha256"]:
        sys.exit(
            f"{spec.id}: the file that was downloaded is not the one that was "
            f"registered (SHA-256 {item['sha256']})"
        )
"""


def _prove_published(repositories: Repositories, url: str | None) -> None:
    posggym = repositories.posggym
    # POSGGym finds its folder by the first part called "agents": none may be above.
    with tempfile.TemporaryDirectory(prefix="published-") as folder:
        tree = Path(folder) / "posggym-clone"
        run = run_git(
            "clone", "--quiet", "--branch", posggym.branch, posggym.url(), str(tree)
        )
        if run.returncode:
            raise GitError(f"{posggym.source}: {run.stderr.strip()}")
        try:
            run_with_tree(tree, _PROOF, str(repositories.manifest), url or "")
        except FreshProcessError as error:
            raise RepositoryError(
                f"published, but it cannot be used from there: {error.reason}"
            ) from error
