"""Policies of Stable-Baselines3, compared with what the library itself does."""

from __future__ import annotations

import base64
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from played_policies import converted_policy, decisions, episodes_of
from posggym_es.config.experiments import Experiments
from posggym_es.config.workflow_config import read_config
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.registry import read_policies, source_of
from posggym_es.sources.settings import AgentSettings

MODELS = Path(__file__).parents[1] / "data" / "sources" / "sb3"
ENVS = {
    "cartpole": "CartPole-v1",
    "pendulum": "Pendulum-v1",
    "frozenlake": "FrozenLake-v1",
}
FILES = sorted(path.relative_to(MODELS) for path in MODELS.rglob("*.zip"))
STOCHASTIC = ("PPO", "A2C", "TRPO", "RecurrentPPO", "MaskablePPO")


def env_of(file: Path) -> str:
    return ENVS.get(file.stem.rpartition("_")[2], "Pendulum-v1")


def read(file: Path, **settings: Any) -> Any:
    agent = AgentSettings.from_dict({"env_name": env_of(file), **settings})
    (policy,) = read_policies(MODELS / file, settings=agent).values()
    return policy


class Original:
    """A model that the library has loaded, and its normalisation of observations."""

    def __init__(self, file: Path, algorithm: str) -> None:
        sb3 = pytest.importorskip("stable_baselines3")
        contrib = pytest.importorskip("sb3_contrib")
        kind = getattr(sb3, algorithm, None) or getattr(contrib, algorithm)
        self.model = kind.load(MODELS / file, device="cpu")
        self._statistics = None
        beside = MODELS / file.parent / "vecnormalize.pkl"
        if beside.is_file():
            from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

            env = DummyVecEnv([lambda: gymnasium.make(env_of(file))])
            self._statistics = VecNormalize.load(str(beside), env)

    def normalized(self, observation: Any) -> Any:
        if self._statistics is None:
            return observation
        return self._statistics.normalize_obs(observation)

    def actions(self, episode: list[Any]) -> list[Any]:
        """Return what `predict` chooses in an episode, without chance."""
        state, start, actions = None, np.array([True]), []
        for observation in episode:
            action, state = self.model.predict(
                self.normalized(observation), state, start, deterministic=True
            )
            actions.append(action)
            start = np.array([False])
        return actions

    def distributions(self, episode: list[Any]) -> list[np.ndarray]:
        """Return the parameters of the actions' distributions in an episode."""
        import torch

        policy, found = self.model.policy, []
        state = None
        with torch.no_grad():
            for number, observation in enumerate(episode):
                tensor, _ = policy.obs_to_tensor(self.normalized(observation))
                if hasattr(policy, "lstm_actor"):
                    from sb3_contrib.common.recurrent.type_aliases import RNNStates

                    lstm = policy.lstm_actor
                    if state is None:
                        zeros = torch.zeros(lstm.num_layers, 1, lstm.hidden_size)
                        state = RNNStates((zeros, zeros), (zeros, zeros)).pi
                    starts = torch.tensor([float(number == 0)])
                    distribution, state = policy.get_distribution(tensor, state, starts)
                else:
                    distribution = policy.get_distribution(tensor)
                inner = distribution.distribution
                if hasattr(inner, "probs"):
                    found.append(inner.probs[0].numpy())
                else:
                    found.append(np.stack([inner.mean[0], inner.stddev[0]]))
        return found


@pytest.mark.parametrize("file", FILES, ids=str)
@pytest.mark.parametrize("deterministic", [True, None])
def test_converted_policies_act_as_the_library_does(tmp_path, file, deterministic):
    policy = read(file, deterministic=deterministic)
    if deterministic is None and policy.metadata.algorithm not in STOCHASTIC:
        pytest.skip("it never acts by chance")
    original = Original(file, policy.metadata.algorithm)
    converted, env = converted_policy(policy, tmp_path)
    space = env.action_spaces["0"]
    worst = 0.0
    for episode in episodes_of(env, at_least=1000):
        found = decisions(converted, episode)
        if deterministic is None:
            expected = original.distributions(episode)
            found = [decision.distribution for decision in found]
            if isinstance(space, spaces.Box):
                # POSGGym's distribution is in units of half the range.
                half = (space.high - space.low) / 2
                expected = [each / half for each in expected]
        else:
            expected = original.actions(episode)
            found = [decision.action for decision in found]
            if isinstance(space, spaces.Box):
                width = space.high - space.low
                found, expected = (np.array(x) / width for x in (found, expected))
        difference = np.ravel(found) - np.ravel(expected)
        worst = max(worst, np.abs(difference).max())
    assert worst <= (1e-6 if deterministic is None else 1e-5)


def test_models_are_recognised_and_described():
    assert source_of(MODELS / FILES[0]).name == "sb3"
    assert source_of(MODELS).name == "sb3"
    policy = read(Path("ppo_cartpole.zip"))
    assert policy.metadata.algorithm == "PPO"
    assert policy.metadata.timesteps == 320
    assert policy.metadata.policy_id == "ppo_cartpole"


def test_the_latest_of_saved_steps_is_taken(tmp_path):
    for name in ("rl_model_900_steps", "rl_model_1000_steps", "best_model"):
        shutil.copy(MODELS / "dqn_cartpole.zip", tmp_path / f"{name}.zip")
    found = source_of(tmp_path).policies(tmp_path)
    assert {key: file.stem for key, file in found.items()} == {
        "rl_model": "rl_model_1000_steps",
        "best_model": "best_model",
    }


def test_files_that_are_read_with_a_model_are_known(tmp_path):
    for file in (MODELS / "normalized_ppo").iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "agent.yaml").write_text("env_name: Pendulum-v1\n")
    config = {"checkpoint_dir": str(tmp_path), "register": {"policy_name": "ppo"}}
    experiments = Experiments(read_config({"experiments": {"given": config}}))
    (agent,) = experiments["given"].agents.values()
    assert (agent.label, agent.source) == ("model", str(tmp_path / "model.zip"))
    assert agent.beside == tuple(
        str(tmp_path / name) for name in ("agent.yaml", "vecnormalize.pkl")
    )


def changed(folder: Path, file: str, change: Callable[[dict], Any]) -> Path:
    """Write a model whose parameters were changed."""
    path = folder / file
    with (
        zipfile.ZipFile(MODELS / file) as before,
        zipfile.ZipFile(path, "w") as after,
    ):
        for name in before.namelist():
            data = before.read(name)
            if name == "data":
                parameters = json.loads(data)
                change(parameters)
                data = json.dumps(parameters).encode()
            after.writestr(name, data)
    return path


def pickle_of(text: str) -> dict[str, str]:
    module, _, name = text.rpartition(".")
    data = b"\x80\x04c" + f"{module}\n{name}\n.".encode()
    return {":serialized:": base64.b64encode(data).decode()}


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            "ppo_cartpole.zip",
            lambda p: p["action_space"].update(
                {":type:": "<class 'gymnasium.spaces.multi_discrete.MultiDiscrete'>"}
            ),
            "its actions are 'MultiDiscrete'; only Box and Discrete can be expressed",
        ),
        (
            "ppo_cartpole.zip",
            lambda p: p["observation_space"].update(
                {":type:": "<class 'gymnasium.spaces.dict.Dict'>"}
            ),
            "it takes observations of a Dict, which cannot be expressed",
        ),
        (
            "ppo_cartpole.zip",
            lambda p: p["policy_kwargs"].update(activation_fn="<class 'torch.nn.ELU'>"),
            "its activation is \"<class 'torch.nn.ELU'>\"; only tanh and relu",
        ),
        (
            "ppo_cartpole.zip",
            lambda p: p.update(policy_class=pickle_of("os.system")),
            "its policy_class: it names os.system, which no such file needs",
        ),
        (
            "ppo_pendulum.zip",
            lambda p: p.update(use_sde=True),
            r"its standard deviations depend on the state \(use_sde\), .* set determ",
        ),
    ],
)
def test_what_cannot_be_expressed_is_refused(tmp_path, file, change, message):
    path = changed(tmp_path, file, change)
    agent = AgentSettings(env_name=env_of(path))
    with pytest.raises(ExtractionError, match=f"{path}: .*{message}"):
        read_policies(path, settings=agent)


def test_what_the_file_does_not_say_is_asked_for(tmp_path):
    path = MODELS / "ppo_cartpole.zip"
    with pytest.raises(
        ExtractionError, match="which environment its agent is for; set"
    ):
        read_policies(path)
    shutil.copy(path, tmp_path)
    (tmp_path / "agent.yaml").write_text("env_name: CartPole-v1\n")
    (policy,) = read_policies(tmp_path).values()
    assert policy.env_name == "CartPole-v1"
    # The file of one model says more than that of all.
    (tmp_path / "ppo_cartpole.yaml").write_text("deterministic: true\n")
    (policy,) = read_policies(tmp_path).values()
    assert (policy.env_name, policy.deterministic) == ("CartPole-v1", True)
    (tmp_path / "agent.yaml").write_text("env_nam: CartPole-v1\n")
    message = "agent.yaml: unknown key 'env_nam'; did you mean 'env_name'?"
    with pytest.raises(ExtractionError, match=message):
        read_policies(tmp_path)


def test_squashed_policies_have_no_distribution_that_posggym_knows():
    with pytest.raises(ExtractionError, match="leave out deterministic: false"):
        read(Path("sac_pendulum.zip"), deterministic=False)


def test_statistics_of_something_else_are_refused(tmp_path):
    shutil.copy(MODELS / "normalized_ppo" / "model.zip", tmp_path)
    beside = tmp_path / "vecnormalize.pkl"
    for data in (b"", b"cos\nsystem\n.", b"\x80\x04K\x01."):
        beside.write_bytes(data)
        with pytest.raises(ExtractionError, match=f"{beside}: not a VecNormalize: "):
            read_policies(tmp_path, settings=AgentSettings(env_name="Pendulum-v1"))
