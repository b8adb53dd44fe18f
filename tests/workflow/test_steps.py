"""The steps as plain Python calls, as the docs show them."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys

import pytest

import posggym_es
from pgpelib.training.config import TrainingConfig
from pgpelib.training.loop import Training


def train(folder, env_name, max_episode_length=-1):
    config = TrainingConfig(
        env_name=env_name,
        max_episode_length=max_episode_length,
        hidden=(),
        niters=1,
        popsize=4,
        popsize_max=None,
        num_interactions=None,
        re_eval_num_episodes=3,
        num_cpus=1,
    )
    with Training(config, folder / "run") as training:
        (path,) = training.step().saved_policies
    path.rename(folder / "policy.pickle")


@pytest.fixture
def policy(tmp_path, monkeypatch):
    """A folder with a policy, to work in."""
    train(tmp_path, "CartPole-v1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_example_in_the_docs_works(root, policy, capsys):
    text = (root / "docs/trainer.md").read_text()
    section = text.split("## The steps as Python functions")[1]
    code = re.search(r"```python\n(.*?)```", section, re.DOTALL)[1]
    exec(compile(code, "trainer.md", "exec"), {})
    policy_id, mean = capsys.readouterr().out.split()[-2:]
    assert policy_id == "CartPole-v1/pgpe-v0"
    assert float(mean) >= 1


def test_a_policy_that_plays_differently_is_refused(policy):
    posggym_es.extract("policy.pickle", "extracted")
    posggym_es.convert("extracted", "converted")
    spec = posggym_es.register("extracted", "converted", "tree", policy_name="pgpe")
    assert posggym_es.verify(spec, "extracted", "tree")["passed"]
    unknown = dataclasses.replace(spec, policy_name="other")
    with pytest.raises(RuntimeError, match="CartPole-v1/other-v0: not registered"):
        posggym_es.verify(unknown, "extracted", "tree")
    # POSGGym's own loader would do what such a file says.
    file = policy / "tree/posggym/assets/agents" / spec.asset
    file.write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(
        RuntimeError, match=r"pgpe\.pkl: not the policy that was proved"
    ):
        posggym_es.verify(spec, "extracted", "tree")
    unproved = dataclasses.replace(spec, policy_sha256=None)
    with pytest.raises(RuntimeError, match=r"pgpe\.pkl: not a policy file"):
        posggym_es.verify(unproved, "extracted", "tree")
    assert not (policy / "pwned").exists()


def test_only_what_computes_with_networks_pays_for_pytorch():
    """Not the Snakefile, the extraction of re-evaluated policies, and results."""
    code = (
        "import sys, posggym_es.config.experiments, posggym_es.evaluation.extraction\n"
        "import posggym_es.reporting.result_folders\n"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.stdout.strip() == "False"


def test_the_chain_ends_where_the_environment_has_no_time_limit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="set max_episode_length"):
        train(tmp_path, "CliffWalking-v0")
    train(tmp_path, "CliffWalking-v0", max_episode_length=20)
    posggym_es.extract("policy.pickle", "extracted")
    posggym_es.convert("extracted", "converted")
    spec = posggym_es.register("extracted", "converted", "tree", policy_name="pgpe")
    assert max(posggym_es.verify(spec, "extracted", "tree")["lengths"]) <= 20
