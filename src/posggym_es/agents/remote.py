"""Agents in git repositories, by URL."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path

from posggym_es.agents.manifest import MANIFEST_FILE, read_manifest
from posggym_es.registration.spec import MODELS_ROOT

_URL_RE = re.compile(r"(git\+)?(?P<url>[a-z][a-z+]*://[^\s#]+?)(@(?P<ref>[^@/:\s]+))?")
# A clone, or a folder that has one, is not waited for longer.
_SECONDS = 300


def is_url(text: str) -> bool:
    """Return whether a text is the URL of a repository, not a path."""
    return _URL_RE.fullmatch(text) is not None


def fetch(text: str) -> Path:
    """Return a local copy of the agents in a git repository, up to date with it.

    Nothing in a repository is executed, and symbolic links in it are not followed. Of
    a models repository, only the policy files in its list of agents are downloaded, if
    the server allows that.

    Parameters
    ----------
    text
        URL of the repository, with an optional branch or tag, such as
        `https://example.org/me/agents.git@main`; `git+` may stand in front.

    Returns
    -------
    Path
        A folder below `$XDG_CACHE_HOME/posggym-es` or `~/.cache/posggym-es`.

    Raises
    ------
    ValueError
        If it is not a URL, git cannot fetch it, or its list of agents is damaged; the
        message has git's.
    """
    match = _URL_RE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not the URL of a git repository")
    url, ref = match["url"], match["ref"] or "HEAD"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    name = hashlib.sha256(f"{url}@{ref}".encode()).hexdigest()[:16]
    folder = cache / "posggym-es" / "repositories" / name
    folder.mkdir(parents=True, exist_ok=True)
    _git(text, folder, "init", "--quiet")
    # Files that a fetch leaves out are downloaded from a remote when they are needed.
    _git(text, folder, "config", "remote.origin.url", url)
    shallow = ["--quiet", "--depth", "1", "--filter=blob:none"]
    _git(text, folder, "fetch", *shallow, "--", "origin", ref)
    if _git(text, folder, "ls-tree", "--name-only", "FETCH_HEAD", "--", MANIFEST_FILE):
        _check_out(text, folder, MANIFEST_FILE)
        assets = (MODELS_ROOT / spec.asset for spec in read_manifest(folder))
        _check_out(text, folder, *map(str, assets))
    else:
        _git(text, folder, "checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
    return folder


def _check_out(text: str, folder: Path, *files: str) -> None:
    """Write some files of what was fetched, under these very names."""
    command = ["--literal-pathspecs", "checkout", "--quiet", "--force", "FETCH_HEAD"]
    _git(text, folder, *command, "--", *files)


def _git(text: str, folder: Path, *arguments: str) -> str:
    """Run git in a folder, and return its output."""
    # Links become files with their targets' names.
    command = ["git", "-C", str(folder), "-c", "core.symlinks=false", *arguments]
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=_SECONDS
        )
    except FileNotFoundError as error:
        raise ValueError(f"{text}: needs git to be installed") from error
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"{text}: git took more than {_SECONDS} seconds") from error
    if run.returncode:
        raise ValueError(f"{text}: cannot be fetched: {run.stderr.strip()}")
    return run.stdout
