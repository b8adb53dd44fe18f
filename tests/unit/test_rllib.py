"""RLModules of RLlib, compared with what they made of the same observations.

RLlib needs a later Gymnasium than POSGGym, so its results are files.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from played_policies import converted_policy, decisions
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.registry import read_policies, source_of
from posggym_es.sources.settings import AgentSettings

MODELS = Path(__file__).parents[1] / "data" / "sources" / "rllib"
LARGEST_TORQUE = 2.0
NAMES = sorted(path.name for path in MODELS.iterdir())


def env_of(name: str) -> str:
    return "CartPole-v1" if name.endswith("cartpole") else "Pendulum-v1"


def read(path: Path, name: str, **settings):
    agent = AgentSettings.from_dict({"env_name": env_of(name), **settings})
    (policy,) = read_policies(path, settings=agent).values()
    return policy


def distribution_of(outputs: np.ndarray, discrete: bool) -> np.ndarray:
    """Return probabilities of actions, or means and standard deviations."""
    outputs = outputs.astype(np.float64)
    if discrete:
        powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)
    mean, log_stdev = np.split(outputs, 2, axis=-1)
    return np.concatenate([mean, np.exp(log_stdev)], axis=-1)


@pytest.mark.parametrize("name", NAMES)
def test_converted_policies_act_as_the_module_did(tmp_path, name):
    policy = read(MODELS / name, name)
    converted, _ = converted_policy(policy, tmp_path)
    with np.load(MODELS / name / "results.npz") as saved:
        episodes, outputs = saved["observations"], saved["outputs"]
    assert episodes.shape[:2] == (10, 100)
    for episode, expected in zip(episodes, outputs, strict=True):
        found = decisions(converted, list(episode))
        if policy.deterministic:
            given = np.ravel([decision.action for decision in found])
            if policy.outputs_are == "squashed":
                expected = LARGEST_TORQUE * expected
            assert np.abs(given - expected.ravel()).max() <= 1e-5
            continue
        expected = distribution_of(expected, policy.outputs_are == "categorical")
        given = [decision.distribution for decision in found]
        assert np.abs(np.ravel(given) - expected.ravel()).max() <= 1e-6


def test_modules_are_found_in_checkpoints(tmp_path):
    inside = tmp_path / "learner_group" / "learner" / "rl_module" / "default_policy"
    shutil.copytree(MODELS / "ppo_cartpole", inside)
    for parent in (tmp_path, inside.parents[2], inside.parents[1], inside.parent):
        shutil.copy(inside / "metadata.json", parent)
    (tmp_path / "agent.yaml").write_text("env_name: CartPole-v1\n")
    assert source_of(tmp_path).name == "rllib"
    policies = read_policies(tmp_path)
    assert list(policies) == ["default_policy"]
    assert policies["default_policy"].metadata.algorithm == "PPO"
    # One module, from inside the checkpoint, is described there as well.
    (policy,) = read_policies(inside).values()
    assert policy.env_name == "CartPole-v1"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (b"tanh", b"silu", "fcnet_activation is 'silu'; only tanh, relu and linear"),
        (b"num_atoms\x94K\x01", b"num_atoms\x94K\x05", "it is a distributional DQN"),
    ],
)
def test_what_cannot_be_expressed_is_refused(tmp_path, before, after, message):
    folder = tmp_path / "dqn_cartpole"
    shutil.copytree(MODELS / "dqn_cartpole", folder)
    path = folder / "class_and_ctor_args.pkl"
    assert path.read_bytes().count(before) == 1
    path.write_bytes(path.read_bytes().replace(before, after))
    with pytest.raises(ExtractionError, match=message):
        read(folder, "dqn_cartpole")


def test_other_classes_are_refused(tmp_path):
    shutil.copytree(MODELS / "ppo_cartpole", tmp_path / "x")
    (tmp_path / "x" / "class_and_ctor_args.pkl").write_bytes(b"cos\nsystem\n.")
    with pytest.raises(ExtractionError, match=r"it names os.system, which no such"):
        read(tmp_path / "x", "cartpole")
