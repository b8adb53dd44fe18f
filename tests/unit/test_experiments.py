"""Configs: what is accepted, what is refused and how it is said."""

from __future__ import annotations

import copy

import pytest
import yaml

from checkpoints import save_checkpoint
from pgpelib.training.config import TrainingConfig
from pgpelib.utils.settings import SettingsError
from posggym_es.config.experiments import Experiments
from posggym_es.config.training_settings import ExperimentTraining, Limits
from posggym_es.config.workflow_config import read_config

CONFIG = {
    "scales": {"smoke": {"niters": 2, "popsize": 8, "num_interactions": 100}},
    "experiments": {
        "lander": {
            "train": {
                "env_name": "LunarLanderContinuous-v2",
                "niters": 50,
                "popsize": 200,
                "popsize_max": None,
                "num_interactions": None,
            },
            "seeds": [0, 1],
            "register": {"policy_name": "pgpe_{seed}"},
        },
        "given": {"policy_file": "x.pickle", "register": {"policy_name": "pgpe"}},
    },
}


def experiments_of(config, *folder):
    return Experiments(read_config(config), *folder)


def changed(change):
    config = copy.deepcopy(CONFIG)
    change(config)
    return config


def test_each_seed_is_an_agent():
    experiments = experiments_of(CONFIG)
    assert experiments.members("registry") == [
        ("lander", "seed0"),
        ("lander", "seed1"),
        ("given", "seed0"),
    ]
    assert experiments.members("lander") == [("lander", "seed0"), ("lander", "seed1")]
    lander = experiments["lander"]
    assert lander.registration("seed1")["policy_name"] == "pgpe_1"
    assert lander.training_config("seed1").seed == 1


def test_scales_limit_budgets_and_nothing_else():
    experiments = experiments_of({**CONFIG, "scale": "smoke"})
    config = experiments["lander"].training_config("seed0")
    full = experiments_of(CONFIG)["lander"].training_config("seed0")
    assert (config.niters, config.popsize, config.num_interactions) == (2, 8, None)
    same = {"niters": 50, "popsize": 200}
    assert TrainingConfig.from_dict({**config.to_dict(), **same}) == full
    assert str(experiments.run_root) == "runs/smoke"


def test_what_was_trained_at_another_scale_says_so():
    config = copy.deepcopy(CONFIG)
    config["experiments"]["lander"]["register"]["description"] = "Lands"
    for scale, expected in (
        ("full", "Lands"),
        ("smoke", "Rehearsal at scale smoke. Lands"),
    ):
        lander = experiments_of({**config, "scale": scale})["lander"]
        assert lander.registration("seed0")["description"] == expected


def test_experiments_with_results_stay_in_the_registry(tmp_path):
    def registered():
        config = {**CONFIG, "only": "given"}
        return experiments_of(config, tmp_path).members("registry")

    assert registered() == [("given", "seed0")]
    for label in ("seed0", "seed1"):
        folder = tmp_path / "results" / "lander" / label
        folder.mkdir(parents=True)
        (folder / "spec.json").touch()
    assert registered() == [
        ("lander", "seed0"),
        ("lander", "seed1"),
        ("given", "seed0"),
    ]


def test_a_limit_never_raises_a_budget():
    train = ExperimentTraining(env_name="CartPole-v1", niters=1)
    assert train.limited(Limits(niters=5)) == train


@pytest.mark.parametrize("only", ["given,lander", ["given", "lander"]])
def test_experiments_can_be_selected(only):
    assert experiments_of({**CONFIG, "only": only}).selected == ["given", "lander"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c.update(scale="huge"),
            "scale must be one of full, smoke, not 'huge'",
        ),
        (
            lambda c: c.update(only="landr"),
            "only names no experiment: 'landr'; did you mean 'lander'?",
        ),
        (
            lambda c: c.update(mongo_db="mongodb://user:geheim@host/db"),
            r"mongo_db has a password in it: (?!.*geheim).* \$NAME",
        ),
        (
            lambda c: c["experiments"]["lander"]["register"].update(policy_name="x"),
            "experiments.lander.register.policy_name must contain {seed}: 2 seeds make "
            "2 agents",
        ),
        (
            lambda c: c["experiments"]["given"]["register"].update(policy_name="../x"),
            r"experiments.given.register.policy_name must match .*, not '../x'",
        ),
        (
            lambda c: c["experiments"]["given"]["register"].update(policy_name="x;rm"),
            "policy_name must match .*, not 'x;rm'",
        ),
        (
            lambda c: c["experiments"]["given"]["register"].update(policy_name="x-v1"),
            "policy_name 'x-v1' ends like a version",
        ),
        (
            lambda c: c["experiments"]["given"]["register"].update(
                action_processor={"name": "RescaleProcessor", "config": {"max": 1}}
            ),
            "experiments.given.register.action_processor.config does not fit "
            "RescaleProcessor: unknown key 'max'; did you mean 'max_val'",
        ),
        (
            lambda c: c["experiments"]["given"].pop("policy_file"),
            "experiments.given needs one of train, policy_file, checkpoint_dir, not no",
        ),
        (
            lambda c: c["experiments"]["lander"].update(seeds=[1, 1]),
            r"experiments.lander.seeds must not name a seed twice, as \[1, 1\] does",
        ),
        (
            lambda c: c["experiments"]["lander"]["train"].update(popsize=3),
            "experiments.lander.train.popsize must be even, not 3",
        ),
        (
            lambda c: c["experiments"]["lander"].update(
                train={"env_name": "posggym:PursuitEvasion-v1", "roles": ["0", "1"]}
            ),
            "experiments.lander.register.policy_name must contain {role}: 2 roles make",
        ),
        (
            lambda c: c["experiments"]["lander"].update(
                train={"env_name": "posggym:PursuitEvasion-v1", "roles": ["0", "1"]},
                register={"policy_name": "pgpe_{seed}_{role}"},
                checkpoint="best",
            ),
            "experiments.lander.checkpoint must be 'latest': roles that are trained",
        ),
        (
            lambda c: c["experiments"].update(
                given={"checkpoint_dir": "no", "register": {"policy_name": "ppo"}}
            ),
            "experiments.given.checkpoint_dir: no: no such file or folder",
        ),
        (
            lambda c: c["experiments"].update(
                registry=copy.deepcopy(c["experiments"]["given"])
            ),
            "experiments.registry cannot be a name: results/registry is the folder of",
        ),
        (
            lambda c: c["experiments"].update(
                smoke=copy.deepcopy(c["experiments"]["given"])
            ),
            "experiments.smoke cannot be a name: results/smoke is the folder of a scal",
        ),
        (
            lambda c: c["scales"].update(full={"niters": 1}),
            "scales.full has no limits",
        ),
        (
            lambda c: c["experiments"].update(
                twin=copy.deepcopy(c["experiments"]["lander"])
            ),
            r"lander \(seed0\) and twin \(seed0\) would both register pgpe_0-v0",
        ),
    ],
)
def test_contradictions_are_refused_before_anything_runs(change, message):
    with pytest.raises(SettingsError, match=message):
        experiments_of(changed(change))


@pytest.mark.parametrize(
    ("policy_ids", "message"),
    [
        ([".."], r"checkpoint_1_\.\.\.pt: the policy id '\.\.' cannot name a folder"),
        (["Docs"], "the policy id 'Docs' cannot name a folder"),
        (["P0", "staged"], "the policy id 'staged' cannot name a folder"),
        (["P 0", "P_0"], r"checkpoint_1_P 0\.pt and .*_P_0\.pt would share the folder"),
        (["p0", "P0"], "would share the folder 'p0'"),
    ],
)
def test_policy_ids_that_cannot_name_folders_are_refused(tmp_path, policy_ids, message):
    for policy_id in policy_ids:
        save_checkpoint(tmp_path, policy_id=policy_id)
    entry = {
        "checkpoint_dir": str(tmp_path),
        "register": {"policy_name": "ppo_{policy_id}"},
    }
    with pytest.raises(SettingsError, match=message):
        experiments_of({"experiments": {"given": entry}})


def test_finished_runs_keep_their_digests():
    config = experiments_of(CONFIG)["lander"].training_config("seed1")
    assert config.digest == "60e97c09b0bc"


def test_digests_name_what_changes_results():
    config = TrainingConfig()
    assert TrainingConfig(niters=5, num_cpus=3).digest == config.digest
    assert TrainingConfig(seed=1).digest != config.digest
    assert TrainingConfig(env_config={"a": 1}).digest != config.digest


def test_the_shipped_config_has_the_papers_settings(root):
    config = yaml.safe_load((root / "config" / "config.yaml").read_text())
    experiments = experiments_of(config)
    humanoid = experiments["humanoid"].training_config("seed0")
    assert humanoid == TrainingConfig(re_eval_env_name="HumanoidBulletEnv-v0")
    for name, max_speed, factor in (
        ("humanoid", 0.15, 15),
        ("humanoid_mujoco", 0.015, 18),
        ("walker2d", 0.015, 15),
        ("lunarlander", 0.3, 15),
    ):
        config = experiments[name].training_config("seed0")
        assert config.max_speed == max_speed
        assert config.center_lr == pytest.approx(max_speed / 2)
        assert config.radius == pytest.approx(factor * max_speed)
