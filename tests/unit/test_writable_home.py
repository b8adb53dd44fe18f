"""Homes that are missing or cannot be written are no obstacle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from workspace import CONFIG, Workspace, environment

SHOW = """
import json, os, {module}
print(json.dumps({{
    name: os.environ.get(name)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL")
}}))
for name in ("HOME", "XDG_CACHE_HOME"):
    with open(os.path.join(os.environ[name], "file"), "w"):
        pass
{more}
"""
POSGGYM = "import posggym.agents, pathlib; print(pathlib.Path.home())"
# Not even root can make a folder in a file.
UNUSABLE = "/dev/null/home"


def run(module: str, more: str = "", **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", SHOW.format(module=module, more=more)],
        env={**environment(), "MPLCONFIGDIR": "", "GIT_CONFIG_GLOBAL": "", **variables},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("module", ["pgpelib", "posggym_es"])
def test_a_home_that_cannot_be_used_is_replaced_for_the_process(module):
    result = run(
        module,
        f"{POSGGYM}; import matplotlib; matplotlib.get_configdir()",
        HOME=UNUSABLE,
        XDG_CACHE_HOME=f"{UNUSABLE}/cache",
        XDG_CONFIG_HOME=f"{UNUSABLE}/config",
    )
    assert result.returncode == 0, result.stderr
    assert "atplotlib" not in result.stderr
    home = Path(result.stdout.splitlines()[-1])
    assert home != Path(UNUSABLE)
    assert not home.parent.exists()


def test_a_cache_that_cannot_be_used_is_replaced_alone(tmp_path):
    (tmp_path / ".cache").write_text("")
    (tmp_path / ".config").mkdir()
    result = run("pgpelib", HOME=str(tmp_path), XDG_CACHE_HOME="", XDG_CONFIG_HOME="")
    assert f'"HOME": "{tmp_path}"' in result.stdout, result.stderr
    assert '"XDG_CONFIG_HOME": ""' in result.stdout


def test_a_usable_home_stays(tmp_path):
    result = run("posggym_es", HOME=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "c"))
    assert f'"HOME": "{tmp_path}", "XDG_CACHE_HOME": "{tmp_path}/c"' in result.stdout


@pytest.mark.slow
def test_snakemake_and_scripts_work_without_a_home(root, tmp_path):
    variables = {
        "HOME": UNUSABLE,
        "XDG_CACHE_HOME": f"{UNUSABLE}/cache",
        "XDG_CONFIG_HOME": f"{UNUSABLE}/config",
        "MPLCONFIGDIR": "",
    }
    workspace = Workspace(root, tmp_path, CONFIG)
    result = workspace.snakemake("status", **variables)
    assert result.returncode == 0, result.stdout + result.stderr
    for name in ("extract_checkpoint.py", "publish.py"):
        result = workspace.run_script(name, "--help", **variables)
        assert result.returncode == 0, result.stderr
