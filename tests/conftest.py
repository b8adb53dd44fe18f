"""Settings and fixtures of all tests; the folders are the tiers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pgpelib.utils.quick_start  # noqa: F401

# isort: split
import posggym.agents
import pytest
import torch
from filelock import FileLock
from hypothesis import HealthCheck, settings

import chromium
from hosts import git, make_originals
from workspace import CONFIG, ONE_EXPERIMENT, Workspace

ROOT = Path(__file__).resolve().parents[1]

# Most users have neither: bytecode is written, and output to files is held back.
for variable in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
    os.environ.pop(variable, None)

# What libraries and browsers cache or remember stays in the repository, and so does the
# folder that POSGGym makes in the home.
os.environ["HOME"] = str(ROOT / ".cache" / "tests" / "home")
os.environ["XDG_CACHE_HOME"] = str(ROOT / ".cache" / "tests" / "cache")
os.environ["XDG_CONFIG_HOME"] = str(ROOT / ".cache" / "tests" / "config")
os.environ["MPLCONFIGDIR"] = str(ROOT / ".cache" / "tests" / "matplotlib")

# Test processes share the cores, and tests compute with small networks only.
torch.set_num_threads(1)

# The same examples in every run, and no test that depends on how fast the machine is.
# New examples: `python -m pytest --hypothesis-profile explore`.
settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "explore", settings.get_profile("suite"), derandomize=False, max_examples=2000
)
settings.load_profile("suite")


# Groups that take longest begin first, tiers of many short ones fill up the end. The
# tests on Slurm mostly wait, beside all others.
GROUPS_FIRST = ("test_slurm", "chain", "kernels")
TIERS = ("system", "workflow", "compiled", "unit")


def group_of(item: pytest.Item) -> str:
    """Return the name of what a test shares with others."""
    if "done" in getattr(item, "fixturenames", ()):
        return "chain"
    if item.path.parent.name == "compiled":
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        # What is not about one world uses the same few.
        return str(parameters.get("env_id", "kernels"))
    return item.path.stem


def place_of(item: pytest.Item, group: str) -> tuple[int, int, bool]:
    """Return what tests are sorted by: slow ones come last in their group."""
    is_slow = item.get_closest_marker("slow") is not None
    if group in GROUPS_FIRST:
        return GROUPS_FIRST.index(group), 0, is_slow
    return len(GROUPS_FIRST), TIERS.index(item.path.parent.name), is_slow


# Before xdist's own, which reads the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests share something costly, for runs with several processes.

    Those of one file do, those that look at the same finished chain, and those that
    compile the same kernels.
    """
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: place_of(item, groups[item]))


@pytest.fixture(autouse=True, scope="module")
def registered_agents() -> Iterator[None]:
    """Forget the agents that a module registered in this process."""
    before = dict(posggym.agents.registry)
    yield
    posggym.agents.registry.clear()
    posggym.agents.registry.update(before)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files made by others, which the repository does not contain."""
    folder = Path(
        os.environ.get("PROJECT_SHARED_DATA", ROOT.parent / "shared" / "data")
    )
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder} (set PROJECT_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def published_humanoid(shared_data: Path) -> Path:
    """The HumanoidBullet policy published with the ClipUp paper."""
    return next((shared_data / "pgpelib-agents").glob("*TinyTrajHumanoidBullet*"))


@pytest.fixture(scope="session")
def originals(tmp_path_factory) -> Path:
    """A posggym and a models repository, as their users have them checked out."""
    folder = tmp_path_factory.mktemp("originals")
    make_originals(folder)
    return folder


@pytest.fixture
def hosts(originals, tmp_path) -> Path:
    """The bare repositories of a code host."""
    folder = tmp_path / "hosts"
    folder.mkdir()
    for name in ("posggym", "models"):
        git(folder, "clone", "--quiet", "--bare", originals / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def alone(root, tmp_path_factory) -> Workspace:
    """A workspace in which register_all has run for one experiment, without films.

    All test processes share it: tests copy it, and run nothing in it.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "alone"
    folder.mkdir(exist_ok=True)
    workspace = Workspace(root, folder, ONE_EXPERIMENT)
    with FileLock(folder / "lock"):
        if not (folder / "seconds").exists():
            begin = time.monotonic()
            workspace.succeed("register_all")
            (folder / "seconds").write_text(str(time.monotonic() - begin))
    return workspace


@pytest.fixture(scope="session")
def done(root, alone, tmp_path_factory) -> Workspace:
    """A workspace in which register_all has run. Tests copy it to change it."""
    folder = tmp_path_factory.mktemp("chain") / "done"
    workspace = alone.copy(folder, CONFIG)
    workspace.succeed("register_all")
    return workspace


@pytest.fixture(scope="session")
def browser():
    """A real browser without a window."""
    reason = chromium.why_not()
    if reason is not None:
        pytest.skip(reason)
    with chromium.launch() as browser:
        yield browser
