"""What `posggym-es run` prints at the end."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import posggym.agents
import pytest

from agent_folders import make_agent
from pgpelib.utils.files import read_json
from posggym_es.commands import main, run
from posggym_es.commands.summary import summary
from posggym_es.evaluation.file_names import VERIFICATION_FILE
from posggym_es.evaluation.verified_agent import VerifiedAgent

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "zoo"


@pytest.fixture
def results(tmp_path) -> Path:
    """Results of self-play, of a best response, and of a Gymnasium task."""
    shutil.copytree(ZOO / "Driving-v1/driving/seed3", tmp_path / "driving/seed3")
    levels = ZOO / "PursuitEvasion-v1/pursuit_evasion_levels"
    shutil.copytree(levels / "k1_i0_seed0", tmp_path / "pursuit/k1_i0_seed0")
    lander = tmp_path / "lander" / "seed0"
    make_agent(lander, "LunarLanderContinuous-v2", "lands")
    shutil.copyfile(
        tmp_path / "driving/seed3" / VERIFICATION_FILE, lander / VERIFICATION_FILE
    )
    return tmp_path


def line_of(text: str, label: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(label))
    return line


def test_returns_are_compared_with_what_is_known(results):
    text = summary(results, ["driving", "lander", "pursuit"])
    verified = VerifiedAgent.read(results / "driving" / "seed3")
    driving = line_of(text, "driving/seed3")
    assert verified.mean_return in driving
    (file,) = (ZOO / "Driving-v1/payoffs").glob("grid=14x14RoundAbout-*")
    report = read_json(file)
    own = [
        pair["mean"]
        for pair in report["payoffs"]
        if pair["row"] == pair["column"] and report["policies"][pair["row"]] is None
    ]
    assert re.search(rf"POSGGym's best \(RL\d-v0\) {max(own):.2f}, random -", driving)
    assert line_of(text, "lander/seed0").endswith("  solved 200.0")
    # Returns against others cannot be compared with those of self-play.
    assert line_of(text, "pursuit/k1_i0_seed0").endswith("  -")


def test_the_lines_to_paste_load_an_agent(results):
    text = summary(results, ["lander", "driving"])
    block = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    scope = {}
    exec("\n".join(block), scope)
    assert (
        scope["policy"].policy_id
        == VerifiedAgent.read(results / "driving" / "seed3").spec.id
    )
    assert scope["policy"].policy_id in posggym.agents.registry
    command, folder = re.search("Watch an agent: (.*) watch (.*)", text).groups()
    assert Path(command).is_file()
    assert Path(folder) == results / "driving" / "seed3"
    assert f"Open {results / 'index.html'}" in text


def test_rehearsals_are_called_that(results):
    assert summary(results, ["driving"], "smoke").startswith("Rehearsal at scale smoke")


def test_nothing_is_said_without_results(results):
    assert summary(results, ["another"]) == ""


def test_run_reads_the_config_as_snakemake_does(monkeypatch):
    monkeypatch.chdir(ROOT)
    args, args.others = main.parser().parse_known_args(
        [
            *("run", "register_all", "--config", "only=lunarlander", "scale=smoke"),
            *("experiments={lunarlander: {seeds: [1]}}", "--keep-going"),
        ]
    )
    experiments = run.experiments_of(args)
    assert experiments.selected == ["lunarlander"]
    assert list(experiments["lunarlander"].agents) == ["seed1"]
    assert experiments.results_root == Path("results/smoke")
    # Values are added to those of files, not put in their place.
    assert "driving" in experiments.names
