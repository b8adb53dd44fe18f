"""Git repositories and web servers for tests of registration and publishing."""

from __future__ import annotations

import contextlib
import functools
import http.server
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import posggym

from posggym_es.registration.staging import copy_package

LISTING = """---
title: Grid-World
---

# Grid-World

```{toctree}
:maxdepth: 1

grid_world/driving.md
grid_world/predator_prey.md

```
"""
INDEX = """# POSGGym

```{toctree}
:hidden:
:caption: Environments

environments/grid_world
```

```{toctree}
:hidden:
:caption: Agents

agents/continuous
agents/grid_world
```
"""


def git(folder: Path, *arguments: str) -> str:
    run = subprocess.run(
        ["git", "-C", folder, *arguments], capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def commit_all(folder: Path, message: str = "Change") -> None:
    git(folder, "add", "--all", "--force")
    git(
        folder,
        *("-c", "user.name=Test", "-c", "user.email=test@localhost"),
        *("commit", "--quiet", "--message", message),
    )


def make_originals(folder: Path) -> None:
    """Create checkouts of a posggym and a models repository."""
    for name in ("posggym", "models"):
        (folder / name).mkdir()
        git(folder / name, "init", "--quiet", "--initial-branch", "main")
    copy_package(Path(posggym.__file__).parent, folder / "posggym")
    docs = folder / "posggym" / "docs"
    (docs / "agents").mkdir(parents=True)
    (docs / "index.md").write_text(INDEX)
    (docs / "agents" / "grid_world.md").write_text(LISTING)
    (folder / "models" / "README.md").write_text("Models\n")
    for name in ("posggym", "models"):
        commit_all(folder / name, "Begin")


@contextlib.contextmanager
def serving(
    handler: Callable[..., http.server.BaseHTTPRequestHandler],
) -> Iterator[str]:
    """Run a web server on a free local port, and yield its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


class _QuietFiles(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def serving_folder(folder: Path) -> contextlib.AbstractContextManager[str]:
    """Serve the files of a folder, which need not exist yet."""
    return serving(functools.partial(_QuietFiles, directory=str(folder)))


@contextlib.contextmanager
def raw_files(repository: Path, folder: Path, branch: str) -> Iterator[str]:
    """Serve the raw files of a published branch, and yield their URL."""
    git(folder.parent, "clone", "--quiet", "--branch", branch, repository, folder)
    with serving_folder(folder) as url:
        yield url
