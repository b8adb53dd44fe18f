"""Compiled partners act like POSGGym's own policies."""

import itertools
import os
from pathlib import Path

import numpy as np
import posggym
import posggym.agents
import posggym.config
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from posggym_compiled.interface import (
    Dense,
    Discrete,
    OneHot,
    UnsupportedError,
    world_for,
)
from posggym_compiled.jit import lean_kernel
from posggym_compiled.networks import (
    forward,
    make_plan,
    memory_for,
    pack,
    packed_weights,
    scratch_for,
)
from posggym_compiled.partners.posggym_policies import partner_for
from posggym_compiled.processing import draw, rescaling, sample
from posggym_compiled.random import numpy_random
from posggym_compiled.rollouts import Players
from posggym_es.models.posggym_model_file import read_model_file

SHARED = Path(os.environ.get("PROJECT_SHARED_DATA", "../shared/data"))
MODELS = {
    path.relative_to(root): path
    for folder in ("posggym-agent-models", "populations")
    for root in [SHARED / folder / "posggym/agents"]
    for path in sorted(root.rglob("*.pkl"))
}


def read_shared(path):
    """Read a policy file of POSGGym's registry from where the tests have it."""
    return read_model_file(MODELS[path.relative_to(posggym.config.AGENT_MODEL_DIR)])


def network_specs():
    """Return POSGGym's specs of the networks whose files are here."""
    for spec in posggym.agents.registry.values():
        path = spec.kwargs.get("policy_file_path")
        if path and path.relative_to(posggym.config.AGENT_MODEL_DIR) in MODELS:
            yield spec


def make_own(spec, model, agent):
    """Make POSGGym's own policy, with its file from where the tests have it."""
    kwargs = dict(spec.kwargs)
    path = kwargs.get("policy_file_path")
    if path:
        kwargs["policy_file_path"] = MODELS[
            path.relative_to(posggym.config.AGENT_MODEL_DIR)
        ]
    return spec.entry_point(model, agent, spec.id, **kwargs)


def own_episode(env, policies, seed, max_steps):
    """Play an episode in POSGGym's environment; returns by agent, and steps."""
    seen, _ = env.reset(seed=seed)
    for policy in policies.values():
        policy.reset(seed=seed)
    returns, steps, done = dict.fromkeys(policies, 0.0), 0, False
    while not done and steps != max_steps:
        actions = {agent: policies[agent].step(seen[agent]) for agent in env.agents}
        seen, rewards, _, _, done, _ = env.step(actions)
        for agent, reward in rewards.items():
            returns[agent] += float(reward)
        steps += 1
    return list(returns.values()), steps


def check_episodes(env_id, env_args, specs, episodes, max_steps=None, rtol=0.0):
    """Compare episodes of policies that take turns in all seats."""
    world = world_for(env_id, **env_args)
    partners = [partner_for(world, spec, read_shared) for spec in specs]
    env = posggym.make(env_id, disable_env_checker=True, **env_args)
    rng = np.random.default_rng(0)
    fitting = [
        [
            number
            for number, spec in enumerate(specs, 1)
            if spec.valid_agent_ids is None or agent in spec.valid_agent_ids
        ]
        for agent in world.agents
    ]
    cast = np.array([rng.choice(numbers, episodes) for numbers in fitting]).T
    seeds = rng.integers(0, 2**63, episodes).astype(np.uint64)
    outcomes = Players(world, None, partners).play_partners(seeds, cast, max_steps)
    made = {}
    for m in range(episodes):
        for agent, number in zip(world.agents, cast[m], strict=True):
            key = agent, number
            if key not in made:
                made[key] = make_own(specs[number - 1], env.model, agent)
        policies = {
            agent: made[agent, number]
            for agent, number in zip(world.agents, cast[m], strict=True)
        }
        returns, steps = own_episode(env, policies, int(seeds[m]), max_steps)
        np.testing.assert_allclose(outcomes.returns[0, m], returns, rtol=rtol)
        assert outcomes.steps[0, m] == steps
    env.close()


@lean_kernel
def forward_once(plan, packed, x, memory, scratch):
    return forward(plan, 0, packed, x, memory, scratch)


def distance_of_outputs(spec, world, env, steps):
    """Return the largest difference of logits from POSGGym's, and the largest logit."""
    network = partner_for(world, spec, read_shared)
    plan = make_plan([network.architecture])
    packed, memory, scratch = packed_weights(plan), memory_for(plan), scratch_for(plan)
    none = np.zeros(0)
    pack(plan, 0, network.parameters, none, none, packed[0])
    seat = spec.valid_agent_ids[0] if spec.valid_agent_ids else world.agents[0]
    own = make_own(spec, env.model, seat)
    own.reset(seed=1)
    state = own.policy_model.get_initial_state()
    seen, _ = env.reset(seed=1)
    worst = largest = 0.0
    for _ in range(steps):
        x = np.asarray(own.obs_processor(seen[seat]))
        hidden, state = own.policy_model.get_next_state(x, state)
        theirs = own.policy_model.actor(hidden).numpy().ravel()
        ones = isinstance(world.observations[0], OneHot)
        x = np.flatnonzero(x).astype(np.int32) if ones else x.astype(np.float64)
        into = forward_once(plan, packed[0], x, memory, scratch)
        ours = scratch[into].ravel()[: len(theirs)]
        worst = max(worst, np.abs(ours - theirs).max())
        largest = max(largest, np.abs(theirs).max())
        actions = {agent: env.action_spaces[agent].sample() for agent in env.agents}
        actions[seat] = own.step(seen[seat])
        seen, _, _, _, done, _ = env.step(actions)
        if done:
            own.reset()
            memory[:] = 0
            state = own.policy_model.get_initial_state()
            seen, _ = env.reset()
    return worst, largest


NETWORKS = list(network_specs())
needs_models = pytest.mark.skipif(
    not NETWORKS, reason="POSGGym's policy files are not in the shared data"
)


@needs_models
def test_logits_of_all_networks():
    for (env_id, _), group in itertools.groupby(
        NETWORKS, lambda spec: (spec.env_id, spec.env_args_id)
    ):
        specs = list(group)
        env_args = specs[0].env_args
        world = world_for(env_id, **env_args)
        env = posggym.make(env_id, disable_env_checker=True, **env_args)
        for spec in specs:
            worst, largest = distance_of_outputs(spec, world, env, 8)
            # 1.3 millionths were the most in 60 steps.
            assert worst < 5e-6 * max(largest, 1.0), spec.id
        env.close()


DRIVING = {"grid": "14x14RoundAbout", "num_agents": 2, "obs_dim": (3, 1, 1)}


def specs_of(env_id, env_args, networks=3):
    """Return heuristics, Random, and some networks for exactly these arguments."""
    found = [posggym.agents.registry["Random-v0"]]
    for spec in posggym.agents.registry.values():
        if spec.env_id == env_id and spec.env_args is None:
            found.append(spec)
    own = [s for s in NETWORKS if (s.env_id, s.env_args) == (env_id, env_args)]
    return found + own[:networks]


@needs_models
def test_driving():
    specs = [
        spec for spec in specs_of("Driving-v1", DRIVING) if "Shortest" not in spec.id
    ]
    check_episodes("Driving-v1", DRIVING, specs, 30)


@lean_kernel
def sample_all(scaling, outputs, n, rng, out):
    for i in range(len(outputs)):
        sample(scaling, outputs[i], n, 0, rng, out[i])


@lean_kernel
def draw_all(scaling, n, rng, out):
    for i in range(len(out)):
        draw(scaling, n, 0, rng, out[i])


def generators(seed):
    """Return the same generator twice, NumPy's second."""
    ours = np.zeros(numpy_random.SIZE, np.uint64)
    numpy_random.seed_numpy(ours, np.uint64(seed))
    return ours, np.random.default_rng(seed)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**64 - 1), st.integers(2, 7), st.floats(0, 200))
def test_discrete_actions_are_those_of_numpys_choice(seed, n, scale):
    ours, theirs = generators(seed)
    logits = scale * np.random.default_rng(0).standard_normal((100, 8))
    actions = np.zeros((100, 1), np.int64)
    sample_all(rescaling([Discrete(n)]), logits.copy(), n, ours, actions)
    for row, action in zip(logits[:, :n], actions[:, 0], strict=True):
        p = np.exp(row - row.max())
        assert action == theirs.choice(n, p=p / p.sum())
    draw_all(rescaling([Discrete(n)]), n, ours, actions)
    assert list(actions[:, 0]) == [theirs.integers(n) for _ in actions]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**64 - 1), st.floats(-80, 3), st.sampled_from(["f4", "f8"]))
def test_actions_of_a_box_are_those_of_numpys_normal(seed, log_stdev, dtype):
    ours, theirs = generators(seed)
    box = spaces.Box(np.array([-2, 0], dtype), np.array([1, 5], dtype), dtype=dtype)
    outputs = np.random.default_rng(0).standard_normal((100, 8))
    outputs[:, 2:4] = log_stdev
    actions = np.zeros((100, 1, 2), dtype)
    scaling = rescaling([Dense(box.low, box.high, box.shape)])
    sample_all(scaling, outputs.copy(), 2, ours, actions)
    processor = processors.RescaleProcessor(box)
    for row, action in zip(outputs, actions[:, 0], strict=True):
        expected = processor.unprocess(theirs.normal(row[:2], np.exp(row[2:4])))
        np.testing.assert_allclose(action, expected, rtol=1e-6, atol=1e-12)
    box.seed(seed)
    draw_all(scaling, 2, generators(seed)[0], actions)
    np.testing.assert_array_equal(actions[:, 0], [box.sample() for _ in actions])


def network_fields(size, **changes):
    """Return the fields of a policy file without a trunk."""
    shapes = {
        "lstm.weight_ih_l0": (8, size),
        "lstm.weight_hh_l0": (8, 2),
        "lstm.bias_ih_l0": (8,),
        "lstm.bias_hh_l0": (8,),
        "actor.0.weight": (5, 2),
        "actor.0.bias": (5,),
    }
    fields = {
        "weights": {name: np.ones(shape) for name, shape in shapes.items()},
        "trunk_sizes": [],
        "lstm_size": 2,
        "lstm_layers": 1,
        "head_sizes": [],
        "activation": "tanh",
        "lstm_use_prev_action": False,
        "lstm_use_prev_reward": False,
    }
    return {**fields, **changes}


@pytest.mark.parametrize(
    ("changes", "config", "reason"),
    [
        ({"lstm_layers": 2}, {}, "an LSTM of 2 layers"),
        ({"activation": "gelu"}, {}, "activation 'gelu'"),
        ({"lstm_use_prev_action": True}, {}, "an LSTM that sees actions"),
        ({}, {"obs_processor_cls": processors.IdentityProcessor}, "its processors"),
        ({}, {"action_processor_cls": processors.FlattenProcessor}, "its processors"),
    ],
)
def test_networks_without_a_compiled_form_say_why(changes, config, reason):
    world = world_for("Driving-v1", **DRIVING)
    fields = network_fields(world.observations[0].size, **changes)
    spec = PPOPolicy.get_spec_from_path(
        policy_file_path=Path("policy.pkl"), env_id="Driving-v1", env_args=None
    )
    usual = network_fields(world.observations[0].size)
    assert partner_for(world, spec, lambda path: usual)
    spec.kwargs.update(config)
    with pytest.raises(UnsupportedError, match=f"Driving-v1/policy-v0: {reason}"):
        partner_for(world, spec, lambda path: fields)
