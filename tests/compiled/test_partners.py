"""Compiled partners act like POSGGym's own policies."""

import functools
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
from posggym.agents.grid_world.driving.shortest_path import DrivingShortestPathPolicy
from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from helper_calls import Helpers
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
from posggym_compiled.partners.kinds import MEMORY, choose
from posggym_compiled.partners.posggym_policies import partner_for
from posggym_compiled.partners.tables import tables_for
from posggym_compiled.processing import draw, rescaling, sample
from posggym_compiled.random import numpy_random, python_random
from posggym_compiled.random.splitmix import policy_seed
from posggym_compiled.rollouts import Players
from posggym_es.models.posggym_model_file import read_model_file
from side_by_side import case_name, flat

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


def own_episode(env, policies, seed):
    """Play an episode in POSGGym's environment; returns by agent, and steps."""
    seen, _ = env.reset(seed=seed)
    for place, policy in enumerate(policies.values()):
        policy.reset(seed=policy_seed(seed, place))
    returns, steps, done = dict.fromkeys(policies, 0.0), 0, False
    while not done:
        actions = {agent: policies[agent].step(seen[agent]) for agent in env.agents}
        seen, rewards, _, _, done, _ = env.step(actions)
        for agent, reward in rewards.items():
            returns[agent] += float(reward)
        steps += 1
    return list(returns.values()), steps


def check_episodes(env_id, env_args, specs, episodes, bench=()):
    """Compare episodes of policies that are drawn for all seats, but for the bench."""
    world = world_for(env_id, **env_args)
    partners = [partner_for(world, spec, read_shared) for spec in (*specs, *bench)]
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
    outcomes = Players(world, None, partners).play_partners(seeds, cast)
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
        returns, steps = own_episode(env, policies, int(seeds[m]))
        assert list(outcomes.returns[0, m]) == returns
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
    specs = specs_of("Driving-v1", DRIVING)
    drivers = [spec for spec in specs if "Shortestpath" in spec.id]
    # Drivers are slow in POSGGym, and have a test of their own.
    specs = [spec for spec in specs if spec not in drivers]
    check_episodes("Driving-v1", DRIVING, specs, 30, bench=drivers)


@lean_kernel
def choose_once(tables, number, setting, agent, x, memory, rng):
    return choose(tables, number, setting, agent, x, memory, rng)


@lean_kernel
def seed_once(rng, value):
    python_random.seed_random(rng, value)


class CompiledHeuristic:
    """A heuristic that is called as POSGGym calls its policies."""

    def __init__(self, world, spec, tables, agent):
        self.world, self.tables, self.agent = world, tables, agent
        self.heuristic = partner_for(world, spec, read_shared)
        self.memory = np.zeros(MEMORY, np.int64)
        self.rng = np.zeros(python_random.SIZE, np.uint32)

    def reset(self, seed):
        self.memory[:] = 0
        seed_once(self.rng, np.uint64(seed))

    def step(self, env, seen):
        spec = self.world.observations[self.agent]
        x = np.array(flat(seen))
        if isinstance(spec, OneHot):
            x = x - spec.starts + spec.offsets
        x = x.astype(self.world.observations[self.agent].dtype)
        rule, setting = self.heuristic.number, self.heuristic.setting
        args = (self.agent, x, self.memory, self.rng)
        return choose_once(self.tables, rule, setting, *args)


HEURISTICS = [
    ("CooperativeReaching-v0", {}),
    (
        "CooperativeReaching-v0",
        {"size": 6, "mode": "square", "num_goals": 7, "obs_distance": 2},
    ),
    ("CooperativeReaching-v0", {"obs_distance": 1}),
    ("Driving-v1", {"grid": "7x7Blocks", "num_agents": 3}),
    ("Driving-v1", {"grid": "6x6Intersection", "num_agents": 4}),
    ("Driving-v1", {"grid": "7x7RoundAbout", "obs_dim": (5, 2, 1)}),
    ("LevelBasedForaging-v3", {}),
    (
        "LevelBasedForaging-v3",
        {"size": 5, "max_food": 3, "num_agents": 4, "force_coop": True},
    ),
    ("LevelBasedForaging-v3", {"static_layout": True, "num_agents": 3, "sight": 3}),
    (
        "LevelBasedForaging-v3",
        {"size": 8, "observation_mode": "vector", "num_agents": 3, "sight": 8},
    ),
    ("PredatorPrey-v0", {}),
    (
        "PredatorPrey-v0",
        {"grid": "5x5Blocks", "num_predators": 3, "num_prey": 3, "obs_dim": 1},
    ),
    ("PredatorPrey-v0", {"grid": "15x15Blocks", "num_predators": 8, "num_prey": 8}),
]


@pytest.mark.parametrize(("env_id", "env_args"), HEURISTICS, ids=case_name)
def test_heuristics(env_id, env_args, monkeypatch):
    if env_id == "Driving-v1":
        drivers_search_with_empty_tables(monkeypatch)
    world = world_for(env_id, **env_args)
    env = posggym.make(env_id, disable_env_checker=True, **env_args)
    specs = [
        spec
        for spec in posggym.agents.registry.values()
        if spec.env_id == env_id and spec.env_args is None
    ]
    tables = tables_for(world, [partner_for(world, specs[0], read_shared)])
    rng = np.random.default_rng(1)
    for seed in range(4 * len(specs)):
        players = {}
        for number, agent in enumerate(env.possible_agents):
            # Each of them plays.
            spec = specs[seed % len(specs)] if number == 0 else rng.choice(specs)
            ours = CompiledHeuristic(world, spec, tables, number)
            players[agent] = make_own(spec, env.model, agent), ours
        seen, _ = env.reset(seed=seed)
        for own, ours in players.values():
            own.reset(seed=seed)
            ours.reset(seed)
        done = False
        while not done:
            actions = {agent: players[agent][0].step(seen[agent]) for agent in players}
            for agent, action in actions.items():
                assert players[agent][1].step(env, seen[agent]) == action
            seen, _, _, _, done, _ = env.step(actions)
    env.close()


def drivers_search_with_empty_tables(monkeypatch):
    """Have POSGGym's drivers forget the distances that other searches have found."""

    @functools.cache
    def distance(grid, dest, position):
        return DrivingShortestPathPolicy.get_shortest_path(position, dest, grid, {})

    monkeypatch.setattr(
        DrivingShortestPathPolicy,
        "get_dest_shortest_path_dist",
        lambda self, dest, position: distance(self._grid, dest, position),
    )


def test_heuristics_that_fail_in_posggym_are_refused():
    driver = posggym.agents.registry["Driving-v1/A0Shortestpath-v0"]
    world = world_for("Driving-v1", obs_dim=(1, 0, 0))
    partner = partner_for(world, driver, read_shared)
    with pytest.raises(UnsupportedError, match="drivers that see one cell"):
        tables_for(world, [partner])


@lean_kernel
def sample_all(scaling, outputs, n, rng, out):
    for i in range(len(outputs)):
        sample(scaling, outputs[i], n, 0, rng, out[i])


@lean_kernel
def draw_all(scaling, n, rng, out):
    for i in range(len(out)):
        draw(scaling, n, 0, rng, out[i])


seed_numpy = Helpers(numpy_random).seed_numpy


def generators(seed):
    """Return the same generator twice, NumPy's second."""
    ours = np.zeros(numpy_random.SIZE, np.uint64)
    seed_numpy(ours, np.uint64(seed))
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
