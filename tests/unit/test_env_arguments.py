"""Which arguments an agent's id names, and whose id it has where POSGGym has one."""

from __future__ import annotations

import posggym
import posggym.agents
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posggym_es.models.processors import ProcessorSpec
from posggym_es.registration.environments import env_of
from posggym_es.registration.spec import AgentSpec
from posggym_es.registration.spec_making import agent_in
from posggym_es.tasks.posggym_envs import (
    complete_env_args,
    env_arguments,
    same_env_args,
)

FLATTEN = ProcessorSpec("FlattenProcessor")
# A policy of POSGGym's own for each set of arguments that it has networks for.
NETWORKS = {
    (spec.env_id, spec.env_args_id): spec
    for spec in posggym.agents.registry.values()
    if spec.env_args is not None
}


def agent(env_id: str, given: dict, **settings) -> AgentSpec:
    env = env_of(f"posggym:{env_id}", given)
    settings = {"policy_name": "pgpe", **settings}
    return agent_in(env, settings, FLATTEN, FLATTEN)


@pytest.mark.parametrize("policy", NETWORKS.values(), ids=lambda spec: spec.id)
def test_agents_for_arguments_of_posggyms_are_beside_its_own(policy):
    assert policy.env_args is not None
    # YAML has no tuples, and another order.
    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in reversed(policy.env_args.items())
    }
    spec = agent(policy.env_id, given)
    assert spec.env_args == policy.env_args
    assert spec.id == policy.id.replace(f"/{policy.policy_name}-", "/pgpe-")
    file = policy.kwargs["policy_file_path"].relative_to(posggym.config.AGENT_MODEL_DIR)
    assert str(spec.asset.parent) == str(file.parent)


@pytest.mark.parametrize(
    ("env_id", "given", "args_id"),
    [
        (
            "DrivingContinuous-v0",
            {"obs_dist": 5},
            "world=14x14RoundAbout-num_agents=2-obs_dist=5.0-n_sensors=16",
        ),
        ("PursuitEvasionContinuous-v0", {}, "world=16x16"),
        ("PursuitEvasionContinuous-v0", {"world": "16x16"}, "world=16x16"),
        ("Driving-v1", {}, "grid=14x14RoundAbout-num_agents=2"),
    ],
)
def test_numbers_and_what_an_environment_chooses_itself_are_compared(
    env_id, given, args_id
):
    assert agent(env_id, given).env_args_id == args_id


@pytest.mark.parametrize(
    ("env_id", "given", "args_id"),
    [
        ("Driving-v1", {"grid": "7x7RoundAbout"}, "grid=7x7RoundAbout"),
        (
            "Driving-v1",
            {"num_agents": 4, "grid": "7x7RoundAbout"},
            "grid=7x7RoundAbout-num_agents=4",
        ),
        ("Driving-v1", {"obs_dim": [2, 1, 1]}, "obs_dim=(2,1,1)"),
        # Without any the first one: without an id, an agent is for all arguments.
        ("CooperativeReaching-v0", {}, "size=5"),
        ("UAV-v0", {}, "grid=5"),
        # Without any that POSGGym names.
        ("MultiAccessBroadcastChannel-v0", {}, None),
        ("MultiAgentTiger-v0", {}, None),
        ("RockPaperScissors-v0", {}, None),
        ("MultiAccessBroadcastChannel-v0", {"num_nodes": 3}, "num_nodes=3"),
    ],
)
def test_other_agents_name_the_arguments_that_were_given(env_id, given, args_id):
    spec = agent(env_id, given)
    assert spec.env_args_id == args_id
    assert spec.id == "/".join(filter(None, [env_id, args_id, "pgpe-v0"]))


def test_the_name_of_the_arguments_can_be_set():
    spec = agent("Driving-v1", {"grid": "7x7RoundAbout"}, env_args_id="small")
    assert spec.id == "Driving-v1/small/pgpe-v0"
    assert spec.asset.parent.name == "small"
    assert spec.env_args == {"grid": "7x7RoundAbout"}


def test_arguments_are_those_of_the_constructor():
    # POSGGym registers the environment with none of them.
    assert list(env_arguments("MultiAccessBroadcastChannel-v0")) == [
        "num_nodes",
        "fill_probs",
        "observation_prob",
        "init_buffer_dist",
    ]
    # And here with another default than the constructor's.
    assert env_arguments("DrivingGen-v1")["obs_dim"] == (3, 1, 1)
    with pytest.raises(ValueError, match="has no argument 'gird'; did you mean 'grid'"):
        env_of("posggym:Driving-v1", {"gird": "7x7RoundAbout"})
    with pytest.raises(ValueError, match="has no argument 'render_mode'"):
        env_of("posggym:Driving-v1", {"render_mode": "human"})


@given(st.sampled_from(sorted(posggym.envs.registry)), st.data())
def test_defaults_may_be_left_out(env_id, data):
    if not str(posggym.envs.registry[env_id].entry_point).startswith("posggym.envs."):
        return
    complete = complete_env_args(env_id, {})
    named = data.draw(st.sets(st.sampled_from([*complete, "-"])))
    given = {name: complete[name] for name in named if name in complete}
    assert same_env_args(env_id, given, {})
    for name, value in complete.items():
        if isinstance(value, int) and not isinstance(value, bool):
            assert not same_env_args(env_id, given, {name: value + 1})
