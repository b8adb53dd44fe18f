"""Proofs of conversions count what they compare, and find policies that differ."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import posggym
import pytest
import torch
from posggym.agents.torch_policy import PPOPolicy
from posggym.agents.utils import processors

from made_policies import linear_policy_for
from posggym_es.conversion.folders import convert_folder
from posggym_es.conversion.proof import ActionProof, prove
from posggym_es.models.posggym_model_file import model_file_bytes
from posggym_es.policies.lossless import convert
from posggym_es.policies.policy_file import write_policy
from posggym_es.tasks.posggym_task import (
    make_processor,
)

REACHING = ("CooperativeReaching-v0", {"size": 5, "num_goals": 4})
PURSUIT = ("PursuitEvasion-v1", {})
DRIVING = ("DrivingContinuous-v0", {})


def in_posggym(policy, env, path, agent="0") -> PPOPolicy:
    converted = convert(policy)
    path.write_bytes(model_file_bytes(converted.model))
    specs = converted.obs_processor, converted.action_processor
    arguments = ((getattr(processors, s.name), s.config) for s in specs)
    return PPOPolicy.load_from_path(
        env.model, agent, "test", path, True, *itertools.chain(*arguments)
    )


def played(policy, env, agent, seed, everyone):
    """Yield an agent's action in each step, by whole episodes of the seeds upwards.

    The policy plays every agent, or the others act at random from the seed.
    """
    network = policy.network()
    for space in env.action_spaces.values():
        space.seed(seed)
    for episode in itertools.count(seed):
        observations, _ = env.reset(seed=episode)
        acts = {i: network.start() for i in env.agents}
        steps, done = [], False
        while not done:
            actions = {}
            for i in env.agents:
                if i == agent or everyone:
                    seen = make_processor(
                        policy.obs_processor, env.observation_spaces[i]
                    )
                    act = make_processor(policy.action_processor, env.action_spaces[i])
                    decoded = policy.action.decode(acts[i](seen(observations[i])))
                    actions[i] = act.unprocess(decoded)
                else:
                    actions[i] = env.action_spaces[i].sample()
            if agent in actions:
                steps.append(actions[agent])
            observations, _, _, _, done, _ = env.step(actions)
        yield steps


def actions_of(policy, env, agent, seed, everyone, minimum):
    """Return the actions in as many episodes as give at least `minimum`."""
    actions = []
    for steps in played(policy, env, agent, seed, everyone):
        actions += steps
        if len(actions) >= minimum:
            return actions
    raise AssertionError


@pytest.mark.slow
@pytest.mark.parametrize(
    ("env", "agent", "everyone"),
    [(REACHING, "0", True), (REACHING, "1", True), (PURSUIT, "1", False)],
)
@pytest.mark.parametrize("seed", [0, 5])
def test_differences_are_counted_over_whole_episodes(
    tmp_path, env, agent, everyone, seed
):
    env = posggym.make(env[0], **env[1])
    role = None if everyone else agent
    policy = linear_policy_for(env, agent, role, seed=3)
    same = in_posggym(policy, env, tmp_path / "same.pkl", agent)
    # Another policy, which always takes the same action.
    start = next(played(policy, env, agent, seed, everyone))
    n = policy.action.n
    taken = (start[0] + 1) % n
    other = linear_policy_for(env, agent, role, biases=np.eye(n)[taken])
    other = in_posggym(other, env, tmp_path / "other.pkl", agent)
    # Partners that act at random end the fifth episode of seed 0 early.
    for minimum in (1, len(start), len(start) + 1, 450):
        actions = actions_of(policy, env, agent, seed, everyone, minimum)
        proof = prove(policy, same, env, minimum, seed)
        assert proof == ActionProof(len(actions), None, 0, 0)
        assert proof.holds
        proof = prove(policy, other, env, minimum, seed)
        different = sum(action != taken for action in actions)
        assert proof == ActionProof(len(actions), None, different, 0)
        assert not proof.holds


@pytest.mark.parametrize(
    ("env", "agent", "role", "different"),
    # Continuous actions have no count of different ones.
    [
        (REACHING, "0", None, 0),
        (PURSUIT, "1", "1", 0),
        (DRIVING, "0", None, None),
    ],
)
def test_folders_are_proved_for_the_agent_of_the_policy(
    tmp_path, env, agent, role, different
):
    env = posggym.make(env[0], **env[1])
    policy = linear_policy_for(env, agent, role, seed=3)
    write_policy(policy, tmp_path / "in")
    (report,) = convert_folder(tmp_path / "in", tmp_path).values()
    actions = actions_of(policy, env, agent, 0, role is None, 1000)
    assert report["proof"]["observations"] == len(actions)
    assert report["proof"]["different_actions"] == different


@pytest.mark.slow
def test_by_default_the_first_thousand_observations_are_compared(tmp_path):
    env = posggym.make(REACHING[0], **REACHING[1])
    policy = linear_policy_for(env)
    actions = actions_of(policy, env, "0", 0, True, 1000)
    same = in_posggym(policy, env, tmp_path / "same.pkl")
    assert prove(policy, same, env).observations == len(actions)


@pytest.mark.parametrize(
    ("gap", "undecided"), [(1e-9, True), (1e-5, False), (1.0, False)]
)
def test_ties_are_what_float32_cannot_decide(tmp_path, gap, undecided):
    """The second action is the better one; equal ones are the first one."""
    env = posggym.make(REACHING[0], **REACHING[1])
    policy = linear_policy_for(env, biases=np.array([1.0, 1.0 + gap, 0.0, 0.0, 0.0]))
    proof = prove(policy, in_posggym(policy, env, tmp_path / "p.pkl"), env, 1)
    count = proof.observations if undecided else 0
    assert proof == ActionProof(proof.observations, None, count, count)
    # Not all observations may be ties.
    assert proof.holds != undecided


def test_other_policies_are_not_excused_as_ties(tmp_path):
    env = posggym.make(REACHING[0], **REACHING[1])
    policy = linear_policy_for(env, seed=3)
    # What float32 leaves of the policy with a bias of 1e8 at each output.
    weight, bias = (np.float32(array + 1e8) for array in policy.layers[0])
    rounded = [(weight - np.float64(1e8), bias - np.float64(1e8))]
    other = dataclasses.replace(policy, layers=rounded)
    proof = prove(policy, in_posggym(other, env, tmp_path / "other.pkl"), env, 1000)
    assert proof.different_actions > 0.1 * proof.observations
    assert not proof.holds
    # With that bias, which changes no action, the policy itself is converted exactly.
    weight, bias = policy.layers[0]
    biased = dataclasses.replace(policy, layers=[(weight, bias + 1e8)])
    proof = prove(policy, in_posggym(biased, env, tmp_path / "p.pkl"), env, 1000)
    assert proof.different_actions == 0
    assert proof.holds


def test_networks_that_compute_something_else_are_found(tmp_path):
    """Their weights are right, so only the bounds of float32 show it."""
    env = posggym.make(DRIVING[0], **DRIVING[1])
    policy = linear_policy_for(env, seed=3)
    loaded = in_posggym(policy, env, tmp_path / "p.pkl")
    assert prove(policy, loaded, env, 1).holds
    shift = torch.tensor([1e-4, 0.0, 0.0, 0.0])
    loaded.policy_model.actor.register_forward_hook(lambda *args: args[-1] + shift)
    proof = prove(policy, loaded, env, 1)
    assert proof.max_difference <= proof.tolerance
    assert proof.max_rounding <= proof.max_rounding_allowed
    assert proof.rounding_share > 1
    assert not proof.holds


@pytest.mark.slow
def test_differences_of_continuous_actions_are_shares_of_the_range(tmp_path):
    env = posggym.make(DRIVING[0], **DRIVING[1])
    policy = linear_policy_for(env, biases=[0.0, 0.5])
    for biases, share in (([0.0, 0.5], 0.0), ([0.2, 0.5], 0.1), ([0.2, -0.1], 0.3)):
        other = linear_policy_for(env, biases=biases)
        other = in_posggym(other, env, tmp_path / "other.pkl")
        proof = prove(policy, other, env, 1)
        assert proof.max_difference == pytest.approx(share, abs=1e-6)
        assert (proof.different_actions, proof.ties) == (None, 0)
        assert proof.holds == (share == 0.0)
        actions = actions_of(policy, env, "0", 0, True, 1)
        assert proof.observations == len(actions)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({"max_difference": 1e-5}, True),
        ({"max_difference": 1.1e-5}, False),
        ({"max_difference": 1.1e-5, "tolerance": 1e-4}, True),
        ({"max_difference": float("nan")}, False),
        ({"max_difference": 0.0, "max_rounding": 1e-3, "rounding_share": 1.0}, True),
        ({"max_difference": 0.0, "max_rounding": 1.1e-3}, False),
        ({"max_difference": 0.0, "rounding_share": 1.1}, False),
        ({"max_difference": 0.0, "rounding_share": float("nan")}, False),
        ({"different_actions": 2, "ties": 2}, True),
        ({"different_actions": 2, "ties": 1}, False),
        ({"different_actions": 3, "ties": 3}, False),
        ({"different_actions": 0}, True),
    ],
)
def test_proofs_hold_up_to_their_tolerance(changes, holds):
    proof = ActionProof(2000, None, None, 0)
    assert dataclasses.replace(proof, **changes).holds == holds
