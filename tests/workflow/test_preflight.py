"""Agents that are still to be trained: what is known to fail is refused at once."""

from __future__ import annotations

import copy

import pytest

from posggym_es.config.experiments import ConfigError, Experiments
from posggym_es.config.preflight import check_planned, planned_agents
from posggym_es.config.settings import WorkflowConfig
from posggym_es.registration.spec import AgentSpec
from posggym_es.registration.staging import StagingError
from workspace import CONFIG, Workspace


def planned(settings=None, **train):
    agent = {
        "entry": "experiments.reaching",
        "train": {"env_name": "posggym:CooperativeReaching-v0", **train},
        "settings": {"policy_name": "pgpe", **(settings or {})},
    }
    return planned_agents([agent])


def test_the_ids_are_those_that_the_chain_registers(done):
    experiments = Experiments(WorkflowConfig.from_dict(CONFIG))
    agents = planned_agents(experiments.planned_agents(experiments.names))
    specs = (done.folder / "runs/full").glob("*/*/spec.json")
    assert sorted(spec.id for spec in check_planned(agents)) == sorted(
        AgentSpec.read(path).id for path in specs
    )


def test_nothing_is_trained_for_agents_that_cannot_be_registered(root, tmp_path):
    config = copy.deepcopy(CONFIG)
    config["experiments"]["reaching"]["register"]["valid_agent_ids"] = ["7"]
    result = Workspace(root, tmp_path, config).snakemake("register_all")
    assert result.returncode != 0
    output = result.stdout + result.stderr
    assert (
        "config/config.yaml: experiments.reaching.register.valid_agent_ids: "
        "CooperativeReaching-v0 has no agent '7'; it has 0, 1"
    ) in output
    assert "Traceback" not in output
    assert not list(tmp_path.glob("runs/full/*/seed*"))


def test_modules_of_the_user_are_found_as_in_training(root, tmp_path, monkeypatch):
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "users_envs.py").write_text(
        "import gymnasium\n"
        "entry = gymnasium.spec('CartPole-v1').entry_point\n"
        "gymnasium.register('UsersCart-v0', entry, max_episode_steps=50)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(modules))
    train = {
        **CONFIG["experiments"]["lander"]["train"],
        "env_name": "users_envs:UsersCart-v0",
    }
    experiment = {"train": train, "register": {"policy_name": "pgpe"}}
    workspace = Workspace(root, tmp_path, {"experiments": {"cart": experiment}})
    result = workspace.snakemake("runs/full/cart/seed0/metrics.csv")
    # The module was imported; its id is none that POSGGym could have.
    message = "register: environment id 'users_envs:UsersCart-v0' is not allowed"
    assert message in result.stdout + result.stderr


def test_new_settings_of_agents_train_nothing_anew(done, tmp_path):
    config = copy.deepcopy(CONFIG)
    config["experiments"]["reaching"]["register"]["version"] = 1
    output = done.copy(tmp_path / "copy", config).succeed("-n")
    assert "rule agent_spec:" in output
    assert "rule train:" not in output


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"env_name": "posggym:CooperativeReachin-v0"},
            "experiments.reaching.train: unknown POSGGym environment "
            "'CooperativeReachin-v0'; did you mean CooperativeReaching-v0?",
        ),
        (
            {"env_name": "LunarLanderContinous-v2"},
            "experiments.reaching.train: unknown Gymnasium environment "
            "'LunarLanderContinous-v2'; did you mean LunarLanderContinuous-v2",
        ),
        (
            {"env_config": {"siez": 3}},
            "experiments.reaching.train: CooperativeReaching-v0 has no argument "
            "'siez'; did you mean 'size'?",
        ),
        (
            {"env_config": {"mode": "../up"}},
            "experiments.reaching.train.env_config: posggym:CooperativeReaching-v0 "
            "cannot be made with {'mode': '../up'}: Mode must be one of",
        ),
        (
            {"settings": {"env_type": "class"}},
            "experiments.reaching.register: environment type 'class' is not allowed",
        ),
        (
            {"settings": {"valid_agent_ids": ["0", "7"]}},
            "experiments.reaching.register.valid_agent_ids: CooperativeReaching-v0 "
            "has no agent '7'; it has 0, 1",
        ),
        (
            {"env_name": "CooperativeReaching-v0"},
            "experiments.reaching.train: unknown Gymnasium environment "
            "'CooperativeReaching-v0'; did you mean posggym:CooperativeReaching-v0?",
        ),
        (
            {"env_name": "posggym:PursuitEvasion-v1"},
            "experiments.reaching.train: PursuitEvasion-v1 is not symmetric, so one "
            "policy cannot play all its agents; set roles: ['0', '1']",
        ),
        (
            {"env_name": "posggym:PursuitEvasion-v1", "roles": ["0", "2"]},
            "experiments.reaching.train: PursuitEvasion-v1 has no agent '2'",
        ),
        (
            {"env_name": "posggym:PursuitEvasion-v1", "roles": ["1"]},
            "experiments.reaching.train: roles: no policy plays 0; name all agents "
            "(0, 1), or give partners",
        ),
        (
            {
                "env_name": "posggym:PursuitEvasion-v1",
                "roles": ["0", "1"],
                "env_config": {"grid": "15x15"},
            },
            "experiments.reaching.train.env_config: posggym:PursuitEvasion-v1 cannot "
            "be made with {'grid': '15x15'}: Unsupported grid name '15x15'. If grid is "
            "a string it must be one of",
        ),
        (
            {"partners": ["CooperativeReaching-v0/heuristic-v0"]},
            "experiments.reaching.train: partners: "
            "'CooperativeReaching-v0/heuristic-v0' is not registered; did you mean "
            "CooperativeReaching-v0/H",
        ),
        (
            {"env_name": "LunarLanderContinuous-v2", "roles": ["0"]},
            "experiments.reaching.train: LunarLanderContinuous-v2: roles and partners "
            "need an environment with several agents",
        ),
        (
            {"env_name": "LunarLanderContinuous-v2", "env_config": {"siez": 3}},
            "experiments.reaching.train.env_config: LunarLanderContinuous-v2 cannot be "
            "made with {'siez': 3}: LunarLander.__init__() got an unexpected keyword",
        ),
    ],
)
def test_what_cannot_be_registered_is_named(changes, message):
    with pytest.raises(ConfigError) as caught:
        check_planned(planned(**changes))
    assert str(caught.value).startswith(message)


def test_two_agents_of_one_id_are_refused():
    with pytest.raises(StagingError, match="2 agents have the policy id"):
        check_planned(planned() + planned())
