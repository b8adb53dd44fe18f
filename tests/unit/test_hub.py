"""Agents on Hugging Face's hub: cards, and uploads by the official client."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import hub_server
from posggym_es.agents.folders import agent_folders
from posggym_es.agents.run_time import register_agents
from posggym_es.evaluation.verified_agent import VerifiedAgent

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = agent_folders(ROOT / "zoo")


def push(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess:
    script = ROOT / "workflow/scripts/push_to_hub.py"
    return subprocess.run(
        [sys.executable, script, *arguments],
        env={**os.environ, "HF_TOKEN": "hf_made_up", "NO_PROXY": "127.0.0.1", **env},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("folder", FOLDERS[::5], ids=lambda folder: folder.parent.name)
def test_the_client_reads_the_cards(folder):
    agent = VerifiedAgent.read(folder)
    data = ModelCard.load(folder / "README.md").data
    (result,) = data.eval_results
    assert data.model_name == agent.spec.id
    assert result.task_type == "reinforcement-learning"
    assert result.dataset_name == agent.spec.env_id
    assert result.metric_value == agent.mean_return.replace("±", "+/-")
    assert (data.license, data.library_name) == ("mit", "posggym")
    assert "evolution-strategies" in data.tags


def test_an_uploaded_agent_can_be_loaded(tmp_path):
    folder = FOLDERS[0]
    with hub_server.running(tmp_path) as hub:
        arguments = (folder, "--repo_id", "me/agent")
        result = push(*arguments, HF_ENDPOINT=hub.url)
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith(f"{hub.url}/me/agent/commit/")
        assert hub.tokens == {"Bearer hf_made_up"}
    uploaded = tmp_path / "me" / "agent"
    assert register_agents(uploaded) == [VerifiedAgent.read(folder).spec.id]
    card = ModelCard.load(uploaded / "README.md")
    assert 'snapshot_download("me/agent")' in card.text
    assert (uploaded / "film" / "film.webp").is_file()


def test_a_dry_run_uploads_nothing(tmp_path):
    with hub_server.running(tmp_path) as hub:
        arguments = (FOLDERS[0], "--repo_id", "me/agent", "--dry_run")
        result = push(*arguments, HF_ENDPOINT=hub.url)
    assert "converted/policy.pkl" in result.stdout
    assert "model-index" in result.stdout
    assert not list(tmp_path.iterdir())
    assert not hub.tokens


@pytest.mark.parametrize(
    ("folder", "repo_id", "message"),
    [
        (ROOT / "docs", "me/agent", "verification.json: No such file or directory"),
        (FOLDERS[0], "a b", "push_to_hub.py: "),
    ],
)
def test_mistakes_are_one_line(tmp_path, folder, repo_id, message):
    with hub_server.running(tmp_path) as hub:
        result = push(folder, "--repo_id", repo_id, HF_ENDPOINT=hub.url)
    assert result.returncode == 1
    assert message in result.stderr
    assert "Traceback" not in result.stderr
