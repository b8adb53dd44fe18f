"""The conda environments and the pip environment are one set of versions."""

from __future__ import annotations

import tomllib

import pytest
import yaml

RULE_ENVS = ["train.yaml", "posggym.yaml"]


def pip_requirements(root, name):
    environment = yaml.safe_load((root / "envs" / name).read_text())
    (pip,) = [d["pip"] for d in environment["dependencies"] if isinstance(d, dict)]
    return environment, pip


@pytest.mark.parametrize("name", RULE_ENVS)
def test_conda_versions_are_pyprojects(root, name):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    environment, pip = pip_requirements(root, name)
    optional = project["optional-dependencies"].values()
    known = {
        *project["dependencies"],
        *(entry for group in optional for entry in group),
    }
    assert set(pip) <= known
    assert "python=3.11" in environment["dependencies"]


def test_every_rule_names_an_existing_environment(root):
    named = set()
    for rules in (root / "rules").glob("*.smk"):
        text = rules.read_text()
        assert text.count("\nrule ") == text.count('"../envs/'), rules
        named |= {line.strip() for line in text.splitlines() if '"../envs/' in line}
    assert named == {f'"../envs/{name}"' for name in RULE_ENVS}
    assert {path.name for path in (root / "envs").iterdir()} == set(RULE_ENVS)


def test_every_rule_is_complete(root):
    for path in (root / "rules").glob("*.smk"):
        for rule in path.read_text().split("\nrule ")[1:]:
            name = rule.split(":")[0]
            assert rule.split("\n")[1].strip().startswith('"""'), name
            for part in ("threads:", "resources:", "log:", "benchmark:", "conda:"):
                assert f"    {part}" in rule, f"{name} lacks {part}"


def test_the_lock_has_what_the_project_asks_for(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    asked = {
        *project["dependencies"],
        *(
            entry
            for group in project["optional-dependencies"].values()
            for entry in group
        ),
    }
    lines = (root / "requirements.lock").read_text().splitlines()

    def normal(entry: str) -> str:
        return entry.split(" ")[0].lower().replace("_", "-")

    locked = {normal(line) for line in lines if not line.startswith("#")}
    assert {normal(entry) for entry in asked} <= locked
    # All but builds with a local label have a hash.
    bare = [line for line in lines if "==" in line and " --hash=sha256:" not in line]
    assert [line.partition("==")[0] for line in bare] == ["torch"]


def test_every_package_has_a_line_in_the_licences(root):
    lines = (root / "requirements.lock").read_text().splitlines()
    names = {line.partition("==")[0] for line in lines if "==" in line}
    listed = (root / "docs" / "licences.md").read_text()
    assert all(f"| {name} |" in listed for name in names)
