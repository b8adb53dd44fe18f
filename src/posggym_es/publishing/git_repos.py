"""Clones of the repositories that agents are registered in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path


class GitError(RuntimeError):
    """A git operation failed; the message names the repository and what to do."""


class GitClone:
    """The pipeline's own clone of a repository, on its own branch.

    The source is only fetched from and pushed to; its working tree is never changed.

    Parameters
    ----------
    source
        A local checkout, a bare repository or a git URL.
    folder
        Folder of the clone; created by `open`.
    branch
        The branch to work on.
    """

    def __init__(self, source: str, folder: Path, branch: str) -> None:
        self.source = source
        self.folder = folder
        self.branch = branch

    def open(self) -> None:
        """Clone the repository or update the clone, and check out the branch.

        The branch starts from the remote branch of the same name, or from the remote's
        default branch if there is none. Uncommitted changes in the clone, left by an
        interrupted run, are discarded.

        Raises
        ------
        GitError
            If the repository cannot be reached, or its branch has diverged.
        """
        if not (self.folder / ".git").exists():
            self._clone()
        elif self._git("remote", "get-url", "origin") != self.url():
            raise GitError(
                f"{self.folder} is not a clone of {self.source}; remove that folder"
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
        """Fast-forward the branch to the remote one."""
        if not self._has(remote) or self._is_ancestor(remote, self.branch):
            return
        if not self._is_ancestor(self.branch, remote):
            raise GitError(
                f"{self.source}: its branch {self.branch} and the pipeline's have "
                "diverged. Either remove the pipeline's clone "
                f"({self.folder}) to start from the remote branch, or choose another "
                "`branch`"
            )
        self._git("merge", "--quiet", "--ff-only", remote)

    def _refuse_links(self) -> None:
        """Reject symbolic links to files outside of the clone.

        Writing through them would change files that are not in the repository.
        """
        root = self.folder.resolve()
        for line in self._git("ls-files", "--stage", "-z").split("\0"):
            mode, _, name = line.partition(" ")
            name = name.partition("\t")[2]
            if mode != "120000":
                continue
            if not _is_inside(root / name, root):
                raise GitError(
                    f"{self.source}: the symbolic link {name} points outside of the "
                    "repository; remove it from the branch"
                )

    def original(self, path: Path) -> bytes | None:
        """Return a file's content where the branch forked off the default branch.

        None if the file did not exist there.
        """
        base = self._git("merge-base", "HEAD", self._default_branch())
        run = subprocess.run(
            ["git", "-C", str(self.folder), "show", f"{base}:{path.as_posix()}"],
            capture_output=True,
        )
        return None if run.returncode else run.stdout

    def changed(self, pattern: str) -> list[str]:
        """Return files matching a pattern that the branch added or changed."""
        base = self._git("merge-base", "HEAD", self._default_branch())
        options = ("--name-only", "--diff-filter=d", "-z")
        names = self._git("diff", *options, base, "HEAD", "--", pattern).split("\0")
        return [name for name in names if name]

    @property
    def public_source(self) -> str:
        """The source without passwords and local paths, for commit messages."""
        if Path(self.source).expanduser().exists():
            return Path(self.source).expanduser().resolve().name
        return re.sub(r"//[^/@]*@", "//", self.source)

    def commit(self, message: str) -> str | None:
        """Commit all changes; return the commit, or None if there are no changes."""
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
        """Hash of the checked-out commit."""
        return self._git("rev-parse", "HEAD")

    def unpublished(self) -> list[str]:
        """Return the commits (hash and subject) that the remote does not have."""
        return self._git(
            "log", "--format=%h %s", "--reverse", "HEAD", "--not", "--remotes=origin"
        ).splitlines()

    def check_publishable(self) -> None:
        """Check that the branch can be pushed.

        Raises
        ------
        GitError
            If the clone has uncommitted changes, or lacks commits of the remote branch.
        """
        changes = self._git("status", "--porcelain")
        if changes:
            raise GitError(
                f"{self.folder} has uncommitted changes:\n{changes}\n"
                "Commit or discard them, then publish again"
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
        """Return the source as a URL or absolute path."""
        path = Path(self.source).expanduser()
        return str(path.resolve()) if path.exists() else self.source

    def _default_branch(self) -> str:
        run = self._run("symbolic-ref", "--short", "refs/remotes/origin/HEAD")
        if run.returncode:
            raise GitError(
                f"{self.source} has no branch to start from; commit something first"
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
    """Return whether a path, with links resolved, is in a clone's working tree."""
    try:
        target = path.resolve()
    except (OSError, RuntimeError):
        # The links form a loop.
        return False
    return target.is_relative_to(root) and not target.is_relative_to(root / ".git")


def run_git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git without terminal prompts, and with untranslated messages."""
    return subprocess.run(
        ["git", *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
    )
