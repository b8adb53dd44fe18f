"""Training and the registered agent act alike in every POSGGym environment.

In training a task stands between environment and network; the registered agent stands
in the unwrapped environment with POSGGym's own processors. Both see the same episode.
"""

from __future__ import annotations

import numpy as np
import posggym
import pytest
from gymnasium import spaces
from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from pgpelib.policies.networks import Network
from pgpelib.policies.policy import Architecture, SavedPolicy
from pgpelib.tasks.registry import make_task
from posggym_compiled.random.splitmix import policy_seed
from posggym_es.models.posggym_model_file import model_file_bytes
from posggym_es.policies.evolved import convertible
from posggym_es.tasks.posggym_envs import PosggymEpisodes

# All environments of posggym 0.6.0; both roles of those that are not symmetric.
CASES = [
    (env_id, role)
    for env_id in sorted(posggym.envs.registry)
    # Other tests may have registered Gymnasium's.
    if str(posggym.envs.registry[env_id].entry_point).startswith("posggym.envs.")
    for role in (
        ("0", "1")
        if env_id.startswith(("PursuitEvasion", "TwoPaths", "UAV"))
        else (None,)
    )
]


@pytest.fixture
def played(monkeypatch) -> list:
    """What happens in environments: (observations, actions) of every step."""
    steps: list = []
    make = PosggymEpisodes._make

    def recorded(self):
        env = make(self)
        reset, step = env.reset, env.step
        last = {}

        def recording_reset(**options):
            observations, info = reset(**options)
            last.update(observations=observations)
            return observations, info

        def recording_step(actions):
            steps.append((last["observations"], actions))
            result = step(actions)
            last.update(observations=result[0])
            return result

        env.reset, env.step = recording_reset, recording_step
        return env

    monkeypatch.setattr(PosggymEpisodes, "_make", recorded)
    return steps


@pytest.mark.parametrize(("env_id", "role"), CASES)
@pytest.mark.parametrize("lstm_size", [0, 4])
def test_every_action_is_the_same(env_id, role, lstm_size, played, tmp_path):
    assert_same_actions(env_id, role, lstm_size, played, tmp_path)


@pytest.mark.parametrize(("env_id", "role"), [("Driving-v1", None), ("UAV-v0", "1")])
@pytest.mark.parametrize("lstm_size", [0, 4])
def test_every_drawn_action_is_the_same(env_id, role, lstm_size, played, tmp_path):
    assert_same_actions(env_id, role, lstm_size, played, tmp_path, stochastic=True)


def assert_same_actions(env_id, role, lstm_size, played, folder, stochastic=False):
    """Play an episode as in training, and compare a registered agent's actions."""
    partners = ["Random-v0"] if role is not None else []
    task = make_task(
        f"posggym:{env_id}", {}, 40, role=role, partners=partners, stochastic=stochastic
    )
    architecture = Architecture(
        task.observation_size,
        task.action.output_size,
        (6,),
        lstm_size=lstm_size,
    )
    rng = np.random.default_rng(1)
    policy = SavedPolicy(
        layers=architecture.layers(rng.normal(size=architecture.num_parameters)),
        activation="tanh",
        obs_mean=None,
        obs_stdev=None,
        action=task.action,
        env_name=f"posggym:{env_id}",
        env_config={},
        obs_processor=task.obs_processor,
        action_processor=task.action_processor,
    )
    task.rollout(Network(policy.layers, "tanh"), 5)

    env = posggym.make(env_id)
    agent = role or env.possible_agents[0]
    converted = convertible(policy).to_posggym(
        env.observation_spaces[agent], env.action_spaces[agent]
    )
    file = folder / "policy.pkl"
    file.write_bytes(model_file_bytes(converted.model))
    agents = env.possible_agents if role is None else (role,)
    registered = {}
    for agent in agents:
        registered[agent] = PPOPolicy.load_from_path(
            env.model,
            agent,
            "test",
            file,
            obs_processor_cls=getattr(processors, converted.obs_processor.name),
            obs_processor_config=converted.obs_processor.config,
            action_processor_cls=getattr(processors, converted.action_processor.name),
            action_processor_config=converted.action_processor.config,
        )
        place = env.possible_agents.index(agent)
        registered[agent].reset(seed=policy_seed(5, place))
    assert played
    for observations, actions in played:
        for agent in agents:
            if agent not in actions:
                continue
            action = registered[agent].step(observations[agent])
            space = env.action_spaces[agent]
            if isinstance(space, spaces.Discrete):
                assert action == actions[agent]
            else:
                width = space.high - space.low
                assert np.abs((action - actions[agent]) / width).max() < 1e-5
                assert space.contains(np.float32(action))
