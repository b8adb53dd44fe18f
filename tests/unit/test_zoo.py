"""The agents that come with the package."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path

import posggym.agents
import pytest
import yaml
from snakemake.utils import update_config

from pgpelib.foreign.config_text import read_config_file
from pgpelib.utils.files import read_json, write_json
from posggym_es.agents.folders import agent_folders, policy_file_of
from posggym_es.agents.run_time import register_agents
from posggym_es.config.experiments import Experiments
from posggym_es.config.workflow_config import read_config
from posggym_es.evaluation.file_names import VERIFICATION_FILE
from posggym_es.evaluation.verified_agent import CARD_FILE, VerifiedAgent
from posggym_es.publishing.zoo_check import mistakes
from posggym_es.publishing.zoo_folder import SETUP
from posggym_es.publishing.zoo_page import zoo_page
from posggym_es.registration.spec import AgentSpec

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "zoo"
FOLDERS = agent_folders(ZOO)
MEGABYTE = 2**20


def test_the_page_and_the_cards_are_those_of_the_files():
    """If not: snakemake --cores 1 zoo --configfile config/zoo.yaml."""
    assert (ROOT / "docs/zoo.md").read_text() == zoo_page(ZOO)
    for folder in FOLDERS:
        card = VerifiedAgent.read(folder).card(SETUP)
        assert (folder / CARD_FILE).read_text() == card, folder


def test_the_zoo_has_what_its_config_describes():
    config = read_config_file(ROOT / "config/config.yaml")
    update_config(config, read_config_file(ROOT / "config/zoo.yaml"))
    experiments = Experiments(read_config(config))
    entries = [experiments[name] for name in experiments.selected]
    lacking = [e.name for e in entries if not e.made(ZOO / e.env_id / e.name)]
    assert lacking == []


def test_the_links_of_the_page_lead_to_files():
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / "docs/zoo.md").read_text())
    assert len(links) > 2 * len(FOLDERS)
    files = [ROOT / "docs" / urllib.parse.unquote(link) for link in links]
    assert [file for file in files if not file.exists()] == []


def test_the_zoo_stays_small():
    sizes = [path.stat().st_size for path in ZOO.rglob("*") if path.is_file()]
    assert sum(sizes) <= 30 * MEGABYTE


def test_cards_have_the_metadata_of_the_hub():
    for folder in FOLDERS:
        _, header, text = (folder / CARD_FILE).read_text().split("---\n", 2)
        (index,) = yaml.safe_load(header)["model-index"]
        agent = VerifiedAgent.read(folder)
        assert index["name"] == agent.spec.id
        (result,) = index["results"]
        assert result["metrics"][0]["value"] == agent.mean_return.replace("±", "+/-")
        assert agent.example(SETUP) in text


@pytest.mark.slow
def test_two_lines_load_any_agent_in_any_folder(tmp_path):
    code = (
        "import json, posggym, posggym.agents, posggym_es.zoo\n"
        "from posggym_gymnasium import ensure_registered\n"
        "acted = []\n"
        "for name in posggym_es.zoo.AGENTS:\n"
        "    spec = posggym.agents.registry[name]\n"
        "    env = posggym.make(spec.env_id, **(spec.env_args or {}))\n"
        "    agent = (spec.valid_agent_ids or env.possible_agents)[0]\n"
        "    policy = posggym.agents.make(name, env.model, agent)\n"
        "    observations, _ = env.reset(seed=0)\n"
        "    policy.reset(seed=0)\n"
        "    action = policy.step(observations[agent])\n"
        "    assert env.action_spaces[agent].contains(action), name\n"
        "    acted.append(name)\n"
        "print(json.dumps(acted))"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    acted = json.loads(run.stdout.splitlines()[-1])
    specs = [AgentSpec.read(folder / "spec.json") for folder in FOLDERS]
    assert sorted(acted) == sorted(spec.id for spec in specs)


@pytest.mark.slow
def test_the_example_of_the_page_runs(tmp_path):
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/zoo.md").read_text(), re.S)
    assert code is not None
    run = subprocess.run(
        [sys.executable, "-c", f"{code[1]}\nprint(policy.policy_id)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() in code[1], run.stderr


@pytest.fixture(scope="module")
def registered():
    register_agents(ZOO)


@pytest.fixture
def copied(registered, tmp_path):
    """A copy of a folder of the zoo with one experiment, and that of an agent in it."""
    folder = FOLDERS[0]
    shutil.copytree(folder.parent, tmp_path / "experiment")
    return tmp_path / "experiment" / folder.name


def test_a_sample_is_reproduced_exactly(copied):
    assert list(mistakes(copied, episodes=2)) == []


def test_other_returns_are_found(copied):
    report = read_json(copied / VERIFICATION_FILE)
    report["returns"] = [value + 1 for value in report["returns"]]
    write_json(copied / VERIFICATION_FILE, report)
    first, *others = mistakes(copied, episodes=2)
    assert f"seed {report['seeds'][0]} returned" in first
    assert len(others) == 1


def test_other_policy_files_are_found(copied, registered):
    """Even if the spec was changed to go with it."""
    other = next(f for f in FOLDERS if f.parent.parent != FOLDERS[0].parent.parent)
    shutil.copyfile(policy_file_of(other), policy_file_of(copied))
    with pytest.raises(ValueError, match="not the policy that was proved"):
        list(mistakes(copied, episodes=1))
    spec = read_json(copied / "spec.json")
    spec["policy_sha256"] = read_json(other / "spec.json")["policy_sha256"]
    write_json(copied / "spec.json", spec)
    assert any(
        "not what the trained policy is converted to" in m
        for m in mistakes(copied, episodes=1)
    )


def test_agents_do_not_take_the_place_of_posggyms_own(registered):
    kept = posggym.agents.registry
    assert all(VerifiedAgent.read(folder).spec.id in kept for folder in FOLDERS)
    assert "Driving-v1/A40Shortestpath-v0" in kept
