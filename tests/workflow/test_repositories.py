"""Agents in real repositories: registered, published, downloaded, taken out again."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from checkpoints import save_checkpoint
from hosts import INDEX, LISTING, commit_all, git, raw_files
from pgpelib.policies.metadata import Origin
from pickle_bombs import Executes
from posggym_es.agents.remote import fetch
from posggym_es.publishing.git_repos import GitClone, GitError
from posggym_es.publishing.repositories import (
    Repositories,
    RepositoryError,
    publish,
    publishing_plan,
    register_agents,
    unregister_agent,
)
from posggym_es.publishing.toctree import add_entry, remove_entry
from posggym_es.registration.registry_files import RegistryError

BRANCH = "es-agents"


@pytest.fixture
def repositories(hosts) -> Repositories:
    return open_clones(hosts)


def open_clones(hosts: Path, folder: str | Path = "clones") -> Repositories:
    posggym_url, models_url = f"file://{hosts}/posggym", f"file://{hosts}/models"
    return Repositories.of(posggym_url, models_url, BRANCH, hosts / folder)


@pytest.fixture(scope="module")
def make_agent(root, tmp_path_factory):
    """Make an agent of CooperativeReaching-v0 with the pipeline's own steps."""
    from posggym_es.conversion.folders import convert_folder
    from posggym_es.evaluation.reference_returns import with_reference
    from posggym_es.models.processors import ProcessorSpec
    from posggym_es.registration.spec_making import agent_spec
    from posggym_es.sources.ppo_checkpoints import load_checkpoint

    def make(seed: int = 0, **settings):
        folder = tmp_path_factory.mktemp("agent")
        save_checkpoint(folder, seed=seed)
        ((path, report),) = convert_folder(folder, folder).items()
        file = folder / "checkpoint_1_P0.pt"
        origin = Origin(file.name, hashlib.sha256(file.read_bytes()).hexdigest())
        policy = with_reference(load_checkpoint(file), origin, 2)
        spec = agent_spec(
            policy,
            ProcessorSpec(**report["obs_processor"]),
            ProcessorSpec(**report["action_processor"]),
            {"policy_name": "ppo", **settings},
        )
        return spec, path

    return make


@pytest.fixture(scope="module")
def agent(make_agent):
    return make_agent()


@pytest.fixture(scope="module")
def first(originals, agent, tmp_path_factory) -> tuple[Repositories, dict]:
    """Repositories in whose clones the agent was registered, and the report."""
    folder = tmp_path_factory.mktemp("first") / "clones"
    repositories = open_clones(originals, folder)
    return repositories, register_agents(repositories, [agent])


@pytest.fixture
def registered(repositories, first) -> Repositories:
    """The same for one test, with hosts of its own."""
    for clone, done in (
        (repositories.posggym, first[0].posggym),
        (repositories.models, first[0].models),
    ):
        shutil.copytree(done.folder, clone.folder, symlinks=True)
        git(clone.folder, "remote", "set-url", "origin", clone.url())
    return repositories


def test_one_commit_in_each_repository_says_what_was_added(first, agent):
    spec, file = agent
    repositories, report = first
    assert report["added"] == [spec.id]
    for clone in (repositories.posggym, repositories.models):
        assert len(clone.unpublished()) == 1
        assert f"Add policy {spec.id}" in git(clone.folder, "log", "-1", "--format=%B")
        files = git(clone.folder, "ls-tree", "-r", "--name-only", "HEAD")
        assert ".pyc" not in files
    models = repositories.models.folder / "posggym" / "agents" / spec.asset
    assert models.read_bytes() == file.read_bytes()


def test_registering_again_changes_nothing(registered, first, agent):
    heads = registered.models.head, registered.posggym.head
    again = register_agents(registered, [agent])
    assert again == {**first[1], "added": []}
    assert (registered.models.head, registered.posggym.head) == heads


def test_users_checkouts_stay_as_they_are(originals, tmp_path, agent):
    before = {
        name: (
            git(originals / name, "rev-parse", "HEAD"),
            git(originals / name, "branch"),
        )
        for name in ("posggym", "models")
    }
    repositories = Repositories.of(
        str(originals / "posggym"), str(originals / "models"), BRANCH, tmp_path
    )
    register_agents(repositories, [agent])
    for name, state in before.items():
        folder = originals / name
        assert (git(folder, "rev-parse", "HEAD"), git(folder, "branch")) == state
        assert git(folder, "status", "--porcelain") == ""


def test_agents_of_earlier_runs_stay(registered, make_agent, agent):
    other = make_agent(1, policy_name="other")
    report = register_agents(registered, [other])
    assert report["added"] == [other[0].id]
    assert set(registered.agents()) == {agent[0].id, other[0].id}
    page = registered.posggym.folder / "docs/agents/grid_world/cooperative_reaching.md"
    assert f"`{agent[0].id}`" in page.read_text()
    assert f"`{other[0].id}`" in page.read_text()


def test_docs_list_new_pages(registered, agent):
    listing = registered.posggym.folder / "docs" / "agents" / "grid_world.md"
    expected = LISTING.replace(
        "grid_world/driving.md",
        "grid_world/cooperative_reaching.md\ngrid_world/driving.md",
    )
    assert listing.read_text() == expected


def test_the_same_id_with_other_content_is_refused_with_the_next_version(
    registered, make_agent, agent
):
    head = registered.models.head
    changed = make_agent(1)
    with pytest.raises(RepositoryError, match=r"policy file; set register\.version: 1"):
        register_agents(registered, [changed])
    assert registered.models.head == head
    register_agents(registered, [make_agent(1, version=1)])
    with pytest.raises(RepositoryError, match=r"set register\.version: 2"):
        register_agents(registered, [changed])


def test_branches_hold_what_maintainers_would_merge(registered, agent):
    changed = {
        name: git(clone.folder, "diff", "--name-only", "origin/HEAD", "HEAD").split()
        for name, clone in (
            ("models", registered.models),
            ("posggym", registered.posggym),
        )
    }
    assert changed == {
        "models": ["posggym-es.json", f"posggym/agents/{agent[0].asset}"],
        "posggym": [
            "docs/agents/grid_world.md",
            "docs/agents/grid_world/cooperative_reaching.md",
            "posggym/agents/grid_world/cooperative_reaching/__init__.py",
            "posggym/agents/utils/download.py",
        ],
    }


LOADING = """
import sys, posggym, posggym.agents, posggym_es
(name,) = posggym_es.register_agents(sys.argv[1])
env = posggym.make("CooperativeReaching-v0", size=5)
policy = posggym.agents.make(name, env.model, "0")
observations, _ = env.reset(seed=0)
policy.reset(seed=0)
assert env.action_spaces["0"].contains(policy.step(observations["0"]))
print(name)
"""


def load_by_url(url: str, cache: Path) -> subprocess.CompletedProcess:
    """Load the only agent of a repository in a new process, and let it act."""
    return subprocess.run(
        [sys.executable, "-c", LOADING, url],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
    )


def test_a_published_branch_loads_by_its_url(registered, agent, hosts, tmp_path):
    registered.models.push()
    loaded = load_by_url(f"git+file://{hosts}/models@{BRANCH}", tmp_path / "cache")
    assert loaded.stdout.strip() == agent[0].id, loaded.stderr


@pytest.mark.parametrize("filters", ["true", "false"])
def test_only_files_of_listed_agents_are_downloaded(
    registered, agent, hosts, tmp_path, monkeypatch, filters
):
    registered.models.push()
    git(hosts / "models", "config", "uploadpack.allowFilter", filters)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    spec, file = agent
    for _ in range(2):
        folder = fetch(f"file://{hosts}/models@{BRANCH}")
        (policy,) = folder.rglob("*.pkl")
        assert policy.relative_to(folder).as_posix() == f"posggym/agents/{spec.asset}"
        assert policy.read_bytes() == file.read_bytes()
    assert not (folder / "README.md").exists()
    readme = git(hosts / "models", "rev-parse", f"{BRANCH}:README.md")
    present = git(folder, "cat-file", "--batch-all-objects", "--batch-check")
    # Not all servers can leave files out.
    assert (readme in present) == (filters == "false")


def test_a_changed_file_of_a_published_branch_is_not_loaded(
    registered, agent, hosts, tmp_path
):
    registered.models.push()
    user = tmp_path / "user"
    git(hosts, "clone", "--quiet", "--branch", BRANCH, hosts / "models", user)
    attack = pickle.dumps(Executes("touch", str(tmp_path / "pwned")))
    (user / "posggym/agents" / agent[0].asset).write_bytes(attack)
    commit_all(user)
    git(user, "push", "--quiet")
    loaded = load_by_url(f"file://{hosts}/models@{BRANCH}", tmp_path / "cache")
    assert f"not the policy that was proved for {agent[0].id}" in loaded.stderr
    assert not (tmp_path / "pwned").exists()


def test_an_id_of_posggyms_own_is_refused(repositories, make_agent):
    # The id that POSGGym gives its own policy for any arguments.
    own = make_agent(policy_name="H1")
    changes = {"env_args": None, "env_args_id": None, "folder": None}
    spec = dataclasses.replace(own[0], **changes)
    with pytest.raises(RegistryError, match="register it as version 1"):
        register_agents(repositories, [(spec, own[1])])


def test_changes_of_generated_code_stop_with_an_explanation(hosts, registered, agent):
    registered.posggym.push()
    registered.models.push()
    user = hosts / "user"
    git(hosts, "clone", "--quiet", "--branch", BRANCH, hosts / "posggym", user)
    module = user / "posggym/agents/grid_world/cooperative_reaching/__init__.py"
    module.write_text(module.read_text().replace("version=0", "version=5"))
    commit_all(user)
    git(user, "push", "--quiet")
    with pytest.raises(RegistryError, match="the code below .* was edited"):
        register_agents(registered, [agent])


def test_changes_elsewhere_are_kept(hosts, registered, make_agent, agent):
    registered.posggym.push()
    user = hosts / "user"
    git(hosts, "clone", "--quiet", "--branch", BRANCH, hosts / "posggym", user)
    module = user / "posggym/agents/grid_world/cooperative_reaching/__init__.py"
    module.write_text("# A remark of a user.\n" + module.read_text())
    commit_all(user)
    git(user, "push", "--quiet")
    register_agents(registered, [agent, make_agent(1, policy_name="other")])
    path = registered.posggym.folder / module.relative_to(user)
    assert path.read_text().startswith("# A remark of a user.\n")


def test_an_interrupted_registration_is_completed(registered, agent):
    # As if the run had been killed between its two commits.
    git(registered.posggym.folder, "reset", "--quiet", "--hard", "HEAD~1")
    models_head = registered.models.head
    (registered.posggym.folder / "half-written").write_text("x")
    report = register_agents(registered, [agent])
    assert report["added"] == [agent[0].id]
    assert registered.models.head == models_head
    assert agent[0].id in registered.agents()


def test_an_interrupted_removal_is_completed(registered, agent):
    unregister_agent(registered, agent[0].id)
    git(registered.posggym.folder, "reset", "--quiet", "--hard", "HEAD~1")
    report = unregister_agent(registered, agent[0].id)
    assert report["removed"] == [agent[0].id]
    assert_as_before(registered)


def assert_as_before(repositories):
    """Both branches hold exactly the files that they began with."""
    for clone in (repositories.posggym, repositories.models):
        assert git(clone.folder, "diff", "origin/HEAD", "HEAD") == ""


KINDS = {
    "one for any arguments, in a new package": {
        "env_id": "MultiAgentTiger-v0",
        "env_args": None,
        "env_type": "classic",
        "env_name": "tiger",
    },
    "a Gymnasium task": {
        "env_id": "LunarLanderContinuous-v2",
        "env_args": None,
        "env_type": "gymnasium",
        "env_name": "lunar_lander_continuous",
        "valid_agent_ids": ["0"],
    },
    "one beside POSGGym's own networks": {
        "env_id": "Driving-v1",
        "env_args": {"grid": "7x7RoundAbout"},
        "env_type": "grid_world",
        "env_name": "driving",
    },
}


def test_removing_all_agents_leaves_both_repositories_as_they_were(repositories, agent):
    spec, file = agent
    agents = [agent] + [
        (dataclasses.replace(spec, env_args_id=None, folder=None, **kind), file)
        for kind in KINDS.values()
    ]
    register_agents(repositories, agents)
    docs = repositories.posggym.folder / "docs"
    assert "\nagents/gymnasium\n" in (docs / "index.md").read_text()
    listing = (docs / "agents/gymnasium.md").read_text()
    assert listing.endswith(
        ":maxdepth: 1\n\ngymnasium/lunar_lander_continuous.md\n\n```\n"
    )
    for one, _ in agents:
        unregister_agent(repositories, one.id)
    assert_as_before(repositories)


def test_commits_name_the_other_repository(first):
    repositories, _ = first
    messages = [
        git(clone.folder, "log", "-1", "--format=%B")
        for clone in (repositories.models, repositories.posggym)
    ]
    assert messages[0].endswith(f"with posggym-es in {repositories.posggym.source}")
    assert messages[1].endswith(f"policy files in {repositories.models.source}")


def test_commits_show_no_password_and_no_home_folder(tmp_path):
    assert GitClone(str(tmp_path), tmp_path, "b").public_source == tmp_path.name
    clone = GitClone("https://me:secret@host/posggym", tmp_path, "b")
    assert clone.public_source == "https://host/posggym"


@pytest.mark.parametrize("target", ["/tmp", "../..", ".git/hooks", "loop"])
def test_links_that_lead_out_of_a_clone_are_refused(hosts, repositories, agent, target):
    user = hosts / "user"
    git(hosts, "clone", "--quiet", hosts / "models", user)
    (user / "posggym").symlink_to(target if target != "loop" else "posggym")
    commit_all(user)
    git(user, "push", "--quiet")
    with pytest.raises(
        GitError, match="the symbolic link posggym points outside of the"
    ):
        register_agents(repositories, [agent])
    assert not (repositories.models.folder / ".git/hooks/agents").exists()


def assert_published(hosts, repositories):
    for clone, name in (
        (repositories.posggym, "posggym"),
        (repositories.models, "models"),
    ):
        assert git(hosts / name, "rev-parse", BRANCH) == clone.head
    assert "0 commits" in publishing_plan(repositories)


def test_published_agents_are_downloaded_and_play(hosts, registered, agent):
    assert f"Add policy {agent[0].id}" in publishing_plan(registered)
    registered.models.push()
    with raw_files(hosts / "models", hosts / "served", BRANCH) as url:
        assert publish(registered, url) == [agent[0].id]
        # Again, there is nothing to push.
        assert_published(hosts, registered)
        assert publish(registered, url) == [agent[0].id]


@pytest.mark.parametrize("host", ["models", "posggym"])
def test_a_push_that_was_killed_is_completed_by_the_next(
    root, hosts, registered, agent, host
):
    hook = hosts / host / "hooks" / "pre-receive"
    arrived = hosts / "arrived"
    hook.write_text(f"#!/bin/sh\ntouch {arrived}\nsleep 60\n")
    hook.chmod(0o755)
    command = [sys.executable, root / "workflow/scripts/publish.py"]
    command += ["--posggym_repo", f"file://{hosts}/posggym"]
    command += ["--agent_models_repo", f"file://{hosts}/models"]
    command += ["--branch", BRANCH, "--clones", registered.models.folder.parent]
    process = subprocess.Popen(command, start_new_session=True)
    while not arrived.exists():
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert git(hosts / host, "branch", "--list", BRANCH) == ""
    hook.unlink()
    registered.models.push()
    with raw_files(hosts / "models", hosts / "served", BRANCH) as url:
        assert publish(registered, url) == [agent[0].id]
    assert_published(hosts, registered)


def test_files_that_cannot_be_downloaded_are_noticed(hosts, registered, agent):
    registered.models.push()
    with raw_files(hosts / "models", hosts / "served", BRANCH) as url:
        (served,) = (hosts / "served").rglob("*.pkl")
        # Whoever loads this has executed it.
        marker = hosts / "executed"
        served.write_bytes(pickle.dumps(Executes("touch", str(marker))))
        message = "the file is not the one that was registered"
        with pytest.raises(RepositoryError, match=message):
            publish(registered, url)
        assert not marker.exists()
        served.unlink()
        with pytest.raises(RepositoryError) as caught:
            publish(registered, url)
    assert f"{agent[0].id}: DownloadError: " in str(caught.value)


@pytest.mark.parametrize("own", [True, False])
def test_files_that_somebody_else_pushed_are_read_before_anything(
    hosts, registered, agent, own
):
    registered.models.push()
    user, marker = hosts / "user", hosts / "executed"
    git(hosts, "clone", "--quiet", "--branch", BRANCH, hosts / "models", user)
    name = f"posggym/agents/{agent[0].asset}" if own else "posggym/agents/theirs.pkl"
    (user / name).write_bytes(pickle.dumps(Executes("touch", str(marker))))
    commit_all(user)
    git(user, "push", "--quiet")
    registered.open()
    with pytest.raises(RepositoryError) as caught:
        publish(registered, None)
    assert f"{name} on branch {BRANCH} is not valid: not a policy file" in str(
        caught.value
    )
    assert not marker.exists()
    # Nothing was pushed.
    assert git(hosts / "posggym", "branch", "--list", BRANCH) == ""


def test_dirty_and_diverged_clones_are_refused(hosts, registered, agent):
    with pytest.raises(GitError, match="register agents first"):
        publish(open_clones(hosts, "missing"), None)
    stray = registered.posggym.folder / "stray.txt"
    stray.write_text("x")
    with pytest.raises(GitError, match="has uncommitted changes"):
        publish(registered, None)
    stray.unlink()
    # Somebody else publishes on the same branch.
    other = open_clones(hosts, "other")
    other.posggym.open()
    (other.posggym.folder / "theirs.txt").write_text("x")
    other.posggym.commit("Theirs")
    other.posggym.push()
    with pytest.raises(GitError, match="register again, then publish"):
        publish(registered, None)
    assert git(hosts / "models", "branch", "--list", BRANCH) == ""
    with pytest.raises(GitError, match="have diverged"):
        register_agents(registered, [agent])


def test_the_removal_of_the_last_agent_is_complete_and_published(
    hosts, registered, agent
):
    report = unregister_agent(registered, agent[0].id)
    assert report["removed"] == [agent[0].id]
    assert registered.agents() == {}
    assert_as_before(registered)
    assert "Remove " in git(registered.posggym.folder, "log", "-1", "--format=%s")
    assert publish(registered, None) == []
    assert_published(hosts, registered)


def test_unknown_agents_and_repositories_are_named(repositories, tmp_path):
    with pytest.raises(RepositoryError, match="Nobody-v0/x-v0 was not registered by"):
        unregister_agent(repositories, "Nobody-v0/x-v0")
    missing = Repositories.of(str(tmp_path / "no"), str(tmp_path / "no"), "b", tmp_path)
    with pytest.raises(GitError, match="cannot be cloned"):
        missing.open()
    swapped = Repositories.of(
        repositories.models.source, repositories.models.source, BRANCH, tmp_path / "s"
    )
    with pytest.raises(RepositoryError, match="is not a posggym repository"):
        swapped.open()
    posggym = repositories.posggym
    other = GitClone(repositories.models.source, posggym.folder, BRANCH)
    with pytest.raises(GitError, match="is not a clone of"):
        other.open()
    git(tmp_path, "init", "--quiet", "--bare", "empty")
    empty = GitClone(str(tmp_path / "empty"), tmp_path / "clone", BRANCH)
    with pytest.raises(GitError, match="has no branch to start from"):
        empty.open()


def test_toctree_entries_come_and_go_without_a_trace():
    assert (
        remove_entry(add_entry(LISTING, "grid_world/x.md"), "grid_world/x.md")
        == LISTING
    )
    changed = add_entry(INDEX, "agents/gymnasium")
    assert "agents/grid_world\nagents/gymnasium\n```" in changed
    assert add_entry(changed, "agents/gymnasium") == changed
    assert remove_entry(changed, "agents/gymnasium") == INDEX
    # Between neighbours in order, also where the first ones are in none.
    page = INDEX.replace("agents/continuous", "agents/start.md\nagents/continuous")
    assert "start.md\nagents/classic\nagents/cont" in add_entry(page, "agents/classic")
    windows = LISTING.replace("\n", "\r\n")
    longer = add_entry(windows, "grid_world/x.md")
    assert longer.count("\n") == longer.count("\r\n")
    assert remove_entry(longer, "grid_world/x.md") == windows
    with pytest.raises(ValueError, match="no toctree"):
        add_entry("# Title\n", "x")


def test_files_that_changed_after_their_proof_are_not_registered(
    repositories, make_agent, tmp_path
):
    spec, path = make_agent()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = dataclasses.replace(spec, policy_sha256=digest)
    changed = tmp_path / "policy.pkl"
    changed.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match="not the policy that was proved for"):
        register_agents(repositories, [(spec, changed)])
    assert register_agents(repositories, [(spec, path)])["added"] == [spec.id]
