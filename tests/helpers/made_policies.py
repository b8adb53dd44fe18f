"""Made-up policies, trained and converted."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from gymnasium import spaces
from hypothesis import strategies as st
from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.policy import ActionSpec, Architecture
from posggym_es.models.posggym_model_file import model_file_bytes
from posggym_es.policies.deterministic import DeterministicPolicy
from posggym_es.policies.lossless import convert
from posggym_es.tasks.posggym_task import (
    derived_action_processor,
    derived_processor,
    make_processor,
)


def linear_policy_for(env, agent="0", role=None, seed=0, biases=None):
    """Return a linear policy for an agent: random, or with constant outputs."""
    observations = env.observation_spaces[agent]
    actions = env.action_spaces[agent]
    obs_processor = derived_processor(observations)
    size = spaces.flatdim(
        make_processor(obs_processor, observations).get_processed_space()
    )
    if isinstance(actions, spaces.Discrete):
        action = ActionSpec("discrete", n=int(actions.n))
    else:
        action = ActionSpec("box", -np.ones(actions.shape), np.ones(actions.shape))
    architecture = Architecture(size, action.output_size)
    if biases is None:
        parameters = np.random.default_rng(seed).normal(
            size=architecture.num_parameters
        )
    else:
        parameters = np.concatenate([np.zeros(size * len(biases)), biases])
    return DeterministicPolicy(
        layers=architecture.layers(parameters),
        activation="tanh",
        obs_mean=None,
        obs_stdev=None,
        action=action,
        env_name=f"posggym:{env.spec.id}",
        env_config={},
        obs_processor=obs_processor,
        action_processor=derived_action_processor(actions),
        metadata=PolicyMetadata(role=role),
    )


def random_policy(
    seed=0,
    hidden=(5,),
    activation="tanh",
    obs_norm=True,
    discrete=False,
    size=4,
    lstm_size=0,
    head=(),
):
    """Return a random policy with 3 outputs."""
    rng = np.random.default_rng(seed)
    architecture = Architecture(
        size, 3, tuple(hidden), activation, lstm_size, tuple(head)
    )
    return DeterministicPolicy(
        layers=architecture.layers(rng.normal(size=architecture.num_parameters)),
        activation=activation,
        obs_mean=rng.normal(size=size) if obs_norm else None,
        obs_stdev=rng.uniform(0.1, 3, size) if obs_norm else None,
        action=(
            ActionSpec("discrete", n=3)
            if discrete
            else ActionSpec("box", -np.ones(3), np.array([1.0, 2.0, 0.5]))
        ),
        env_name="Walker2d-v4",
        env_config={"reset_noise_scale": 0.0},
        metadata=PolicyMetadata(generation=7, re_eval_returns=[1.0, 2.0]),
    )


def make_policy(architecture, parameters, action, **fields):
    """Return a policy with these parameters."""
    return DeterministicPolicy(
        layers=architecture.layers(np.asarray(parameters, dtype=np.float64)),
        activation=architecture.activation,
        action=action,
        env_name="Test-v0",
        env_config={},
        **{"obs_mean": None, "obs_stdev": None, **fields},
    )


def load_in_posggym(policy, action_space, path, **options):
    """Convert, write, and load with POSGGym's own loader."""
    converted = convert(policy, **options)
    path.write_bytes(model_file_bytes(converted.model))
    size = policy.observation_size
    model = SimpleNamespace(
        observation_spaces={"0": spaces.Box(-np.inf, np.inf, (size,))},
        action_spaces={"0": action_space},
    )
    return PPOPolicy.load_from_path(
        model,
        "0",
        "test",
        path,
        obs_processor_cls=getattr(processors, converted.obs_processor.name),
        obs_processor_config=converted.obs_processor.config,
        action_processor_cls=getattr(processors, converted.action_processor.name),
        action_processor_config=converted.action_processor.config,
    )


architectures = st.builds(
    Architecture,
    observation_size=st.integers(1, 6),
    output_size=st.integers(2, 4),
    hidden=st.lists(st.integers(1, 8), max_size=3).map(tuple),
    activation=st.sampled_from(["tanh", "relu"]),
) | st.builds(
    Architecture,
    observation_size=st.integers(1, 6),
    output_size=st.integers(2, 4),
    hidden=st.lists(st.integers(1, 8), max_size=2).map(tuple),
    activation=st.sampled_from(["tanh", "relu"]),
    lstm_size=st.integers(1, 8),
    head=st.lists(st.integers(1, 8), max_size=2).map(tuple),
)
