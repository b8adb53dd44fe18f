"""Clones of the repositories that agents are registered in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path


class GitError(RuntimeError):
    """Git refused; the message names the repository and what to do."""


class GitClone:
    """The pipeline's own clone of a repository, on its own branch.

    Users' checkouts are read and pushed to, and never worked in.

    Parameters
    ----------
    source
        A local checkout, a bare repository or a git URL.
    folder
        Where the clone is, or will be.
    branch
        The branch to work on.
    """

    def __init__(self, source: str, folder: Path, branch: str) -> None:
        self.source = source
        self.folder = folder
        self.branch = branch

    def open(self) -> None:
        """Make the clone or bring it up to date, with its branch checked out.

        The branch continues the remote one of that name or, without one, begins at the
        remote's default branch. Changes in the clone that were not committed are those
        of an interrupted run, and are dropped.

        Raises
        ------
        GitError
            If the repository cannot be reached, or its branch went another way.
        """
        if not (self.folder / ".git").exists():
            self._clone()
        elif self._git("remote", "get-url", "origin") != self.url():
            raise GitError(
                f"{self.folder} is a clone of another repository than {self.source}; "
                "remove that folder"
            )
        self._git("fetch", "--quiet", "--prune", "origin")
        self._git("reset", "--quiet", "--hard")
        self._git("clean", "--quiet", "-ffdx")
        remote = f"origin/{self.branch}"
        if not self._has(self.branch):
            start = remote if self._has(remote) else self._default_branch()
            self._git("checkout", "--quiet", "--no-track", "-B", self.branch, start)
        else:
            self._git("checkout", "--quiet", self.branch)
            self._follow(remote)
        self._refuse_links()

    def _follow(self, remote: str) -> None:
        """Bring the branch up to date with the remote one."""
        if not self._has(remote) or self._is_ancestor(remote, self.branch):
            return
        if not self._is_ancestor(self.branch, remote):
            raise GitError(
                f"{self.source}: its branch {self.branch} and the pipeline's have "
                "different commits. Either remove the pipeline's clone "
                f"({self.folder}) to begin from the remote branch, or choose another "
                "`branch`"
            )
        self._git("merge", "--quiet", "--ff-only", remote)

    def _refuse_links(self) -> None:
        """Refuse symbolic links that lead out of the clone's files.

        Writing through them would change what is not in the repository.
        """
        root = self.folder.resolve()
        for line in self._git("ls-files", "--stage", "-z").split("\0"):
            mode, _, name = line.partition(" ")
            name = name.partition("\t")[2]
            if mode != "120000":
                continue
            if not _is_inside(root / name, root):
                raise GitError(
                    f"{self.source}: its symbolic link {name} leads out of the "
                    "repository; remove it from the branch"
                )

    def original(self, path: Path) -> bytes | None:
        """Return a file as it was where the branch left the remote's default branch.

        None if there was none.
        """
        base = self._git("merge-base", "HEAD", self._default_branch())
        run = subprocess.run(
            ["git", "-C", str(self.folder), "show", f"{base}:{path.as_posix()}"],
            capture_output=True,
        )
        return None if run.returncode else run.stdout

    def changed(self, pattern: str) -> list[str]:
        """Return the files of a pattern that the branch added or changed."""
        base = self._git("merge-base", "HEAD", self._default_branch())
        options = ("--name-only", "--diff-filter=d", "-z")
        names = self._git("diff", *options, base, "HEAD", "--", pattern).split("\0")
        return [name for name in names if name]

    @property
    def public_source(self) -> str:
        """The source as a commit may show it: without passwords and home folders."""
        if Path(self.source).expanduser().exists():
            return Path(self.source).expanduser().resolve().name
        return re.sub(r"//[^/@]*@", "//", self.source)

    def commit(self, message: str) -> str | None:
        """Commit everything that changed; return the commit, None without changes."""
        self._git("add", "--all", "--force", ".")
        if not self._git("status", "--porcelain"):
            return None
        identity = []
        if self._run("config", "user.email").returncode:
            identity = [
                "-c",
                "user.name=posggym-es",
                "-c",
                "user.email=posggym-es@local",
            ]
        self._git(*identity, "commit", "--quiet", "--no-verify", "--message", message)
        return self.head

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return self._git("rev-parse", "HEAD")

    def unpublished(self) -> list[str]:
        """Return the commits (hash and subject) that the remote does not have."""
        return self._git(
            "log", "--format=%h %s", "--reverse", "HEAD", "--not", "--remotes=origin"
        ).splitlines()

    def check_publishable(self) -> None:
        """Refuse a clone with changes, or one that the remote branch went away from.

        Raises
        ------
        GitError
            Naming what is in the way.
        """
        changes = self._git("status", "--porcelain")
        if changes:
            raise GitError(
                f"{self.folder}: has changes that are not committed:\n{changes}\n"
                "Commit or drop them, then publish again"
            )
        self._git("fetch", "--quiet", "--prune", "origin")
        remote = f"origin/{self.branch}"
        if self._has(remote) and not self._is_ancestor(remote, "HEAD"):
            raise GitError(
                f"{self.source}: its branch {self.branch} has commits that the "
                "pipeline's clone does not have; register again, then publish"
            )

    def push(self) -> None:
        """Push the branch; never with force."""
        self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{self.branch}")

    def _clone(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".clone.", dir=self.folder.parent))
        try:
            run = run_git(
                "clone", "--quiet", "--", self.url(), str(temporary / "clone")
            )
            if run.returncode:
                raise GitError(f"{self.source}: cannot be cloned: {run.stderr.strip()}")
            (temporary / "clone").replace(self.folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def url(self) -> str:
        """Return the source as git takes it from any folder."""
        path = Path(self.source).expanduser()
        return str(path.resolve()) if path.exists() else self.source

    def _default_branch(self) -> str:
        run = self._run("symbolic-ref", "--short", "refs/remotes/origin/HEAD")
        if run.returncode:
            raise GitError(
                f"{self.source}: has no branch to begin from; commit something first"
            )
        return run.stdout.strip()

    def _has(self, ref: str) -> bool:
        return self._run("rev-parse", "--quiet", "--verify", ref).returncode == 0

    def _is_ancestor(self, ancestor: str, ref: str) -> bool:
        return self._run("merge-base", "--is-ancestor", ancestor, ref).returncode == 0

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_git("-C", str(self.folder), *arguments)

    def _git(self, *arguments: str) -> str:
        run = self._run(*arguments)
        if run.returncode:
            raise GitError(
                f"{self.source}: git {arguments[0]} failed: {run.stderr.strip()}"
            )
        return run.stdout.strip()


def _is_inside(path: Path, root: Path) -> bool:
    """Whether a path is one of a clone's files, links followed."""
    try:
        target = path.resolve()
    except (OSError, RuntimeError):
        # A loop.
        return False
    return target.is_relative_to(root) and not target.is_relative_to(root / ".git")


def run_git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git without ever asking at the terminal."""
    return subprocess.run(
        ["git", *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
    )
