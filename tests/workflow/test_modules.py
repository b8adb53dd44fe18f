"""The workflow as a module of a workflow of the user's own, in a folder of its own."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest

from hosts import git
from workspace import CONFIG, Workspace, planned, snapshot

CODE = ("Snakefile", "config", "envs", "profiles", "rules", "src", "workflow")

USING = """
configfile: "config/config.yaml"


module posggym_es:
    snakefile:
        {snakefile}
    config:
        {config}
    {more}


use rule * from posggym_es {names}


onstart:
    posggym_es.onstart()


rule mine:
    output:
        "mine.txt",
    shell:
        "touch {{output}}"
"""


class Deployment(Workspace):
    """A folder with a Snakefile that uses the workflow as a module."""

    def __init__(self, folder: Path, settings: dict, **parts: str) -> None:
        super().__init__(folder, folder, settings)
        defaults = {"config": "config", "names": "", "more": ""}
        (folder / "workflow").mkdir()
        text = USING.format(**defaults | parts)
        (folder / "workflow" / "Snakefile").write_text(text)

    def snakefile(self) -> list[str]:
        # Snakemake finds it.
        return []


def small(name: str = "lander", **changes) -> dict:
    experiment = copy.deepcopy(CONFIG["experiments"][name])
    experiment["train"] |= {"niters": 3, **changes}
    experiment["seeds"] = [0]
    scales = {"smoke": {"niters": 1, "re_eval_num_episodes": 4}}
    return {"experiments": {"mine": experiment}, "scales": scales, "films": False}


def contents(root: Path) -> dict[str, object]:
    """Return the code of a checkout, and what lies beside it."""
    beside = {p.name for p in root.iterdir() if not p.name.startswith(".")}
    code = {
        name: snapshot(root / name)
        if (root / name).is_dir()
        else (root / name).read_bytes()
        for name in CODE
    }
    return {"beside": beside, **code}


@pytest.mark.slow
def test_a_module_makes_results_in_the_users_folder(root, tmp_path):
    before = contents(root)
    mine = Deployment(
        tmp_path, small(), snakefile=f'"{root}/Snakefile"', names="as pgpe_*"
    )
    scale = ("--config", "scale=smoke")
    output = mine.succeed("results/smoke/mine", *scale)
    assert "rule pgpe_train:" in output
    results = tmp_path / "results" / "smoke" / "mine"
    verification = json.loads((results / "seed0" / "verification.json").read_text())
    assert verification["passed"]
    assert verification["policy_id"] == "LunarLanderContinuous-v2/pgpe_seed0-v0"
    again = mine.succeed("results/smoke/mine", *scale)
    assert "Nothing to be done" in again
    assert "registered" in mine.succeed("pgpe_status", *scale)
    mine.succeed("--report", "report.html", "results/smoke/mine", *scale)
    assert "Training and registration of mine" in (tmp_path / "report.html").read_text(
        encoding="utf-8"
    )
    assert contents(root) == before


def test_the_users_experiments_replace_the_repositorys(root, tmp_path):
    mine = Deployment(tmp_path, small(), snakefile=f'"{root}/Snakefile"')
    output = mine.succeed("-n")
    assert "rule register_all:" in output
    runs = [o for o in planned(output) if "policies" in o]
    assert [o.split(", ")[0] for o in runs] == ["runs/full/mine/seed0/policies"]
    assert "rule mine:" in mine.succeed("-n", "mine.txt")


def test_a_module_gets_a_part_of_the_users_config(root, tmp_path):
    config = {"samples": [1], "scale": "other", "agents": small()}
    mine = Deployment(
        tmp_path, config, snakefile=f'"{root}/Snakefile"', config='config["agents"]'
    )
    assert "runs/full/mine" in mine.succeed("-n")
    # Values of the command line are for the user's config.
    assert "runs/full/mine" in mine.succeed("-n", "--config", "scale=smoke")
    assert "rule film:" in mine.succeed("-n", "--config", "agents={films: true}")


def test_agents_that_posggym_will_not_take_are_refused(root, tmp_path):
    config = small("reaching", partners=["Nobody-v0"])
    mine = Deployment(tmp_path, config, snakefile=f'"{root}/Snakefile"')
    result = mine.snakemake("results/mine")
    assert result.returncode != 0
    assert "'Nobody-v0' is not registered" in result.stdout + result.stderr
    assert not list(tmp_path.glob("runs/full/mine/seed0/*/*"))


def test_prefixes_are_refused(root, tmp_path):
    mine = Deployment(
        tmp_path, small(), snakefile=f'"{root}/Snakefile"', more='prefix: "sub"'
    )
    result = mine.snakemake("-n")
    assert result.returncode != 0
    assert "prefix and replace_prefix" in result.stdout + result.stderr


def test_files_that_snakemake_fetches_use_the_installed_packages(root, tmp_path):
    """As with `github(...)`, from a repository that needs no network."""
    repository = tmp_path / "repository"
    for name in ("config", "envs", "rules", "workflow"):
        shutil.copytree(root / name, repository / name)
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    author = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    git(repository, *author, "commit", "--quiet", "--message", "Everything")
    folder = tmp_path / "mine"
    folder.mkdir()
    where = f'gitfile("{repository}", path="workflow/Snakefile", commit="HEAD")'
    mine = Deployment(folder, small(), snakefile=where)
    assert "runs/full/mine" in mine.succeed("-n")
    assert "waiting" in mine.succeed("status")
    result = mine.snakemake("check")
    assert "check: needs a checkout of this workflow" in result.stdout + result.stderr
