"""The conda environments and the pip environment are one set of versions."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile

import pytest
import yaml
from packaging.requirements import Requirement

from lock_environment import conda_environment
from locked_packages import (
    LOCK_FILE,
    OWN_NAME,
    locked_line,
    normal_name,
    parse_lock,
    pinned,
    pip_install_locked,
    project_extras,
    project_requirements,
)
from system_packages import BROWSER, SLURM, advice

RULE_ENVS = ["train.yaml", "posggym.yaml"]
# They act or show each time; Snakemake would take a benchmark for their output.
ACTING = ("publish", "publish_zoo", "unregister", "zoo", "zoo_check")
VIEWS = ("status", "check", "help")
# Others on the path, such as what setuptools brings for itself, are not installed.
SITE_PACKAGES = sysconfig.get_path("purelib")


@pytest.mark.parametrize("name", RULE_ENVS)
def test_conda_environments_are_extras_in_locked_versions(root, lock, name):
    # What `make lock` writes.
    text = conda_environment(name, lock)
    assert (root / "envs" / name).read_text() == text
    *_, packages = yaml.safe_load(text)["dependencies"]
    assert f"numpy=={lock['numpy'].version}" in packages["pip"]


@pytest.fixture(scope="module")
def rules(root, tmp_path_factory):
    """What Snakemake has read of each rule that runs something."""
    folder = tmp_path_factory.mktemp("rules")
    shutil.copytree(root / "config", folder / "config")
    output = subprocess.run(
        [sys.executable, root / "tests/helpers/list_rules.py", root / "Snakefile"],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    rules = json.loads(output.splitlines()[-1])
    return {name: rule for name, rule in rules.items() if rule["runs"]}


def test_every_rule_names_an_existing_environment(root, rules):
    named = {rule["conda"] for rule in rules.values()}
    assert named == {f"../envs/{name}" for name in RULE_ENVS}
    assert {path.name for path in (root / "envs").iterdir()} == set(RULE_ENVS)


def test_every_rule_is_complete(rules):
    assert len(rules) > 15
    for name, rule in rules.items():
        assert rule["described"], name
        assert rule["log"], name
        makes = name not in (*ACTING, *VIEWS)
        assert rule["output"] == rule["benchmark"] == makes, name
        if name not in VIEWS:
            assert {"mem_mb", "runtime"} <= set(rule["resources"]), name


@pytest.fixture(scope="module")
def lock():
    """The locked packages, by normal name."""
    return parse_lock(LOCK_FILE.read_text())


def test_the_lock_has_what_the_project_asks_for(lock):
    for requirement in project_requirements(project_extras()):
        asked = Requirement(requirement)
        assert asked.specifier.contains(lock[normal_name(asked.name)].version)


def test_versions_are_pinned_in_the_lock_alone():
    for requirement in project_requirements(project_extras()):
        assert "==" not in requirement


def test_extras_have_those_that_they_name():
    everything = project_requirements(["all"])
    assert set(project_requirements(["box2d", "train"])) < set(everything)
    assert not any(each.startswith(OWN_NAME) for each in everything)
    base = project_requirements([])
    assert not any("snakemake" in each or "Box2D" in each for each in base)


def test_all_that_is_installed_is_locked(lock):
    installed = {
        normal_name(package.name): package.version.partition("+")[0]
        for package in importlib.metadata.distributions(path=[SITE_PACKAGES])
    }
    del installed[OWN_NAME]
    assert {"pip", "setuptools", "wheel", "posggym"} <= set(installed)
    assert installed == {n: lock[n].version if n in lock else None for n in installed}


def test_the_lock_accepts_files_for_other_platforms(lock):
    # NumPy has wheels for dozens; a lock made from one machine's would have one.
    assert len(lock["numpy"].hashes) > 5
    assert all(len(digest) == 64 for each in lock.values() for digest in each.hashes)


@pytest.mark.parametrize(
    "line", ["tqdm==4.67.1", "tqdm>=4 --hash=sha256:00", "tqdm==4.67.1 --no-deps"]
)
def test_a_lock_without_pins_or_hashes_is_refused(line):
    with pytest.raises(ValueError, match="not pinned"):
        parse_lock(f"# comment\n{line}\n")


def test_asking_for_what_the_lock_lacks_names_it(lock):
    assert pinned("posggym[agents]>=0.6", lock) == "posggym[agents]==0.6.0"
    assert locked_line("tqdm", lock).startswith("tqdm==4.67.1 --hash=sha256:")
    with pytest.raises(ValueError, match="no-such-package>=1: not in"):
        pinned("no-such-package>=1", lock)
    with pytest.raises(ValueError, match="unknown extra quallity"):
        project_requirements(["quallity"])


SETUP = """\
from pathlib import Path
from setuptools import setup
Path({marker!r}).touch()
setup(name="sample", version="1.0", py_modules=[])
"""


@pytest.fixture
def sdist(tmp_path):
    """A source distribution whose build leaves a mark, and that mark."""
    marker = tmp_path / "executed"
    source = tmp_path / "sample-1.0"
    source.mkdir()
    (source / "setup.py").write_text(SETUP.format(marker=str(marker)))
    (source / "PKG-INFO").write_text(
        "Metadata-Version: 2.1\nName: sample\nVersion: 1.0\n"
    )
    (tmp_path / "index").mkdir()
    path = tmp_path / "index" / "sample-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(source, source.name)
    return path, marker


@pytest.mark.parametrize("known", [True, False])
def test_no_code_of_a_file_runs_before_its_hash_is_checked(sdist, tmp_path, known):
    path, marker = sdist
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if known else "0" * 64
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"sample==1.0 --hash=sha256:{digest}\n")
    download = functools.partial(
        pip_install_locked,
        ["sample"],
        command="download",
        options=["--no-index", f"--find-links={path.parent}", f"--dest={tmp_path}"],
        lock=lock,
    )
    if known:
        download()
    else:
        with pytest.raises(subprocess.CalledProcessError):
            download()
    assert marker.exists() == known
    assert (tmp_path / path.name).exists() == known


def test_every_package_has_a_line_in_the_licences(root, lock):
    listed = (root / "docs" / "licences.md").read_text()
    assert all(f"| {package.name} |" in listed for package in lock.values())


def test_system_packages_are_listed_for_apt(root):
    result = subprocess.run(
        [sys.executable, root / "tests/helpers/system_packages.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert {*SLURM, *BROWSER} <= set(result.stdout.split())
    # Skipping says how to run the test after all.
    assert advice(["munged"], SLURM) == (
        "munged not found; install with: "
        "sudo apt-get install slurmctld slurmd slurm-client munge"
    )
