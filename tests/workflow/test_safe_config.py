"""Config files are data: no way to name one makes Snakemake run what is in it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from workspace import CONFIG, Workspace, environment

# Each writes a file when it is rendered.
TEMPLATES = {
    "definitions": {
        "__use_yte__": True,
        "__definitions__": ["open('pwned', 'w').close()"],
    },
    "value": {"__use_yte__": True, "scale": "?open('pwned', 'w').close() or 'full'"},
    "key": {"__use_yte__": True, "?if open('pwned', 'w'):": {"scale": "full"}},
    "one": {"__use_yte__": 1, "__variables__": {"x": "?open('pwned', 'w')"}},
}
REFUSED = "__use_yte__ is not allowed"


def run(workspace: Workspace, *arguments: str) -> str:
    result = workspace.snakemake(*arguments)
    assert result.returncode != 0
    assert not list(workspace.folder.rglob("pwned"))
    output = result.stdout + result.stderr
    assert "Traceback" not in output
    return output


@pytest.fixture
def workspace(root, tmp_path) -> Workspace:
    return Workspace(root, tmp_path, CONFIG)


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_templates_in_the_config_are_refused(workspace, template):
    workspace.write({**CONFIG, **template})
    assert f"config/config.yaml: {REFUSED}" in run(workspace, "-n")


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_templates_in_files_of_the_command_line_are_refused(workspace, suffix):
    template = TEMPLATES["definitions"]
    text = json.dumps(template) if suffix == ".json" else yaml.safe_dump(template)
    (workspace.folder / f"mine{suffix}").write_text(text)
    output = run(workspace, "-n", "--configfile", f"mine{suffix}")
    assert f"mine{suffix}: {REFUSED}" in output


def test_every_file_of_the_command_line_is_looked_at(workspace):
    (workspace.folder / "first.yaml").write_text("films: false")
    (workspace.folder / "second.yaml").write_text(yaml.safe_dump(TEMPLATES["value"]))
    output = run(workspace, "--configfiles", "first.yaml", "second.yaml", "-n")
    assert f"second.yaml: {REFUSED}" in output


@pytest.mark.parametrize("option", ["--profile", "--workflow-profile"])
def test_templates_in_profiles_are_refused(workspace, option):
    profile = workspace.folder / "profile"
    profile.mkdir()
    content = {**TEMPLATES["definitions"], "config": {"scale": "full"}}
    (profile / "config.yaml").write_text(yaml.safe_dump(content))
    assert REFUSED in run(workspace, "-n", option, "profile")


def test_what_is_no_template_is_plain_text(workspace):
    workspace.write({**CONFIG, "scale": "?open('pwned', 'w')"})
    assert "scale must be one of full" in run(workspace, "-n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # More are in unit/test_config_text.py.
        ("a: 1\nb: !!python/name:os.system x", "config/config.yaml, line 2: "),
        ("[" * 100_000, "config/config.yaml, line 1: "),
    ],
    ids=["tag", "deep"],
)
def test_mistakes_of_form_name_file_and_line(workspace, text, message):
    (workspace.folder / "config/config.yaml").write_text(text)
    assert message in run(workspace, "-n")


def test_alias_bombs_are_refused(workspace):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 12)]
    (workspace.folder / "mine.yaml").write_text("\n".join(lines))
    assert "mine.yaml, line" in run(workspace, "-n", "--configfile", "mine.yaml")


def test_without_the_plugin_files_of_the_command_line_are_refused(
    workspace, root, tmp_path
):
    """They were read before the Snakefile, so at least nothing goes on from there."""
    source = tmp_path / "source"
    shutil.copytree(root / "src", source / "src")
    for name in ("Snakefile", "rules", "config", "workflow"):
        (source / name).symlink_to(root / name)
    shutil.rmtree(source / "src" / "snakemake_logger_plugin_safe_config")
    (workspace.folder / "mine.yaml").write_text("films: false")
    # Python without this project on its path, as in another environment.
    code = "import runpy, sys; sys.path = [p for p in sys.path if p != sys.argv[1]]; "
    code += (
        "sys.argv[:2] = ['snakemake']; runpy.run_module('snakemake', alter_sys=True)"
    )
    command = [sys.executable, "-c", code, root / "src", "--cores", "1", "-n"]
    for arguments, refused in ([["--configfile", "mine.yaml"], True], [[], False]):
        result = subprocess.run(
            [*command, "--snakefile", source / "Snakefile", *arguments],
            cwd=workspace.folder,
            env=environment(),
            capture_output=True,
            text=True,
        )
        output = result.stdout + result.stderr
        assert ("--configfile needs posggym-es to be installed" in output) == refused
        assert (result.returncode != 0) == refused, output


def test_a_workflow_uses_its_own_packages(root, tmp_path, workspace):
    """Not those that the plugin is installed with, where that is another checkout."""
    other = tmp_path / "other"
    other.mkdir()
    for name in ("src", "rules", "config", "workflow", "Snakefile"):
        (other / name).symlink_to(root / name)
    (other / "src").unlink()
    shutil.copytree(root / "src", other / "src")
    module = other / "src/posggym_es/config/settings.py"
    text = module.read_text()
    assert "must be one of" in text
    module.write_text(text.replace("must be one of", "must be among"))
    workspace.write({**CONFIG, "scale": "tiny"})
    # The Snakefile's folder is the one that it is named in.
    (other / "Snakefile").unlink()
    shutil.copy2(root / "Snakefile", other)
    other_workspace = Workspace(other, workspace.folder, workspace.config)
    other_workspace.write({**CONFIG, "scale": "tiny"})
    assert "scale must be among full" in run(other_workspace, "-n")


def test_templates_of_workflows_still_work(tmp_path):
    """Rules may render templates: who writes a workflow writes code anyway."""
    (tmp_path / "Snakefile").write_text(
        'rule all:\n    input: "in.yaml"\n    output: "out.yaml"\n'
        '    template_engine: "yte"\n'
    )
    (tmp_path / "in.yaml").write_text("?if True:\n  value: ?1 + 1\n")
    snakemake = Path(sys.executable).with_name("snakemake")
    command = [snakemake, "--cores", "1", "--quiet", "all"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert yaml.safe_load((tmp_path / "out.yaml").read_text()) == {"value": 2}
