"""Mistakes in the config: the key, what is wrong, and what to write instead."""

from __future__ import annotations

import copy
import re
import subprocess
import sys

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pgpelib.training.config import TrainingConfig
from pgpelib.utils.settings import FILE, LIST, MAPPING, SettingsError
from posggym_es.config.settings import WorkflowConfig
from posggym_es.config.workflow_config import read_config
from workspace import CONFIG
from write_settings import outdated


@pytest.fixture(scope="module")
def schema(root):
    path = root / "config" / "schemas" / "config.schema.yaml"
    return yaml.safe_load(path.read_text())


def changed(change):
    config = copy.deepcopy(CONFIG)
    change(config)
    return config


def mistakes(config):
    try:
        read_config(config)
    except SettingsError as error:
        return error.mistakes
    return []


LANDER = ("experiments", "lander")


def put(*path_and_value):
    *path, name, value = path_and_value

    def change(config):
        for key in path:
            config = config[key]
        config[name] = value

    return change


MISTAKES = [
    (
        put("experimnts", {}),
        "unknown key 'experimnts'; did you mean 'experiments'?",
    ),
    (
        put(*LANDER, "train", "hiden", [3]),
        "experiments.lander.train: unknown key 'hiden'; did you mean 'hidden'?",
    ),
    (
        put(*LANDER, "train", {"niters": 1}),
        "experiments.lander.train: missing required key 'env_name'",
    ),
    (
        put(*LANDER, "train", "activation", "gelu"),
        "experiments.lander.train.activation must be 'tanh' or 'relu', not 'gelu'",
    ),
    (
        put(*LANDER, "train", "niters", "many"),
        "experiments.lander.train.niters must be an integer, not 'many'",
    ),
    (put(*LANDER, "train", "niters", 0), "niters must be at least 1, not 0"),
    (put(*LANDER, "train", "radius", 0), "radius must be greater than 0, not 0"),
    (put(*LANDER, "train", "popsize", 7), "popsize must be even, not 7"),
    (put(*LANDER, "train", "roles", ["a;b"]), "roles.0 must match"),
    (put(*LANDER, "register", {}), "register: missing required key 'policy_name'"),
    (put(*LANDER, "regsiter", {}), "unknown key 'regsiter'; did you mean 'register'?"),
    (
        put(*LANDER, "register", "verison", 1),
        "lander.register: unknown key 'verison'; did you mean 'version'?",
    ),
    (put(*LANDER, "seeds", []), "experiments.lander.seeds must not be empty"),
    (
        put(*LANDER, "seeds", "all"),
        "lander.seeds must be a list, not 'all'",
    ),
    (
        put(*LANDER, "train", "popsize_max", "none"),
        "popsize_max must be an integer or null, not 'none'",
    ),
    (put("experiments", {}), "experiments must not be empty"),
    (put("experiments", "../up", {}), "experiments: key '../up' must match"),
    (put("experiments", "A B", {}), "experiments: key 'A B' must match"),
    (put("branch", "-f"), "branch must match"),
    (put("agent_models_url", "file:///etc/"), "agent_models_url must match"),
    (put(*LANDER, "register", "env_type", "../x"), "env_type must match"),
    (put(*LANDER, "seeds", [True]), "seeds.0 must be an integer, not True"),
    (
        put(*LANDER, "train", "max_speed", "1e-3"),
        "max_speed must be a finite number, not '1e-3'; YAML reads it as text: write "
        "1.0e-3",
    ),
    (put("films", "no"), "films must be true or false, not 'no'"),
    (put("crossplay", {"episodes": 0}), "crossplay.episodes must be at least 1, not 0"),
    (put("scales", {"smoke": {"popsize": 3}}), "scales.smoke.popsize must be even"),
]
# JSON Schema cannot say these.
OTHER_MISTAKES = [
    (put("posggym_repo", "x"), "posggym_repo needs agent_models_repo"),
    (
        put(*LANDER, "register", "version", 1.0),
        "version must be an integer, not 1.0",
    ),
    (
        put(*LANDER, "train", "stdev_lr", float("nan")),
        "train.stdev_lr must be a finite number, not nan",
    ),
    (put(*LANDER, "train", "env_config", {1: 2}), "env_config: key 1 must be a string"),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES + OTHER_MISTAKES)
def test_each_mistake_is_explained(change, message):
    found = mistakes(changed(change))
    assert any(message in line for line in found), found
    assert all("\n" not in line for line in found)


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_the_schema_refuses_what_the_models_refuse(schema, change, message):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(changed(change), schema)


def test_the_schema_and_the_models_take_valid_configs(root, schema):
    shipped = yaml.safe_load((root / "config" / "config.yaml").read_text())
    for config in (CONFIG, shipped):
        jsonschema.validate(config, schema)
        read_config(config)


def test_what_is_written_from_the_models_is_up_to_date():
    assert not outdated(), "run make settings"


def test_the_reference_of_the_command_lines_is_up_to_date(root, tmp_path):
    # In a fresh process, because scripts change the one that they run in.
    command = [sys.executable, root / "tools/write_commands.py", "--output", "new.md"]
    subprocess.run(command, check=True, cwd=tmp_path)
    written = (root / "docs/commands.md").read_text()
    assert (tmp_path / "new.md").read_text() == written, "run make settings"


@pytest.mark.parametrize(
    ("original", "own"),
    [
        ({"hidden_size": 32, "num_hidden": 2}, {"hidden": [32, 32]}),
        ({"num_hidden": 2}, {"hidden": [64, 64]}),
        ({"hidden_size": 64}, {}),
        ({"hidden_size": 0, "num_hidden": 0}, {"hidden": []}),
        ({"num_interactions": -1, "popsize_max": -1}, {"num_interactions": None}),
        ({"re_eval_env_name": ""}, {"re_eval_env_name": "CartPole-v1"}),
    ],
)
def test_the_original_trainers_names_are_aliases(schema, original, own):
    def config(settings):
        entry = {"train": {"env_name": "CartPole-v1", "popsize_max": None, **settings}}
        return {"experiments": {"one": {**entry, "register": {"policy_name": "pgpe"}}}}

    jsonschema.validate(config(original), schema)
    assert read_config(config(original)) == read_config(config(own))
    digests = [
        TrainingConfig.from_dict(config(settings)["experiments"]["one"]["train"]).digest
        for settings in (original, own)
    ]
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"hidden_size": 8, "hidden": [8]}, "hidden_size and hidden are alternatives"),
        ({"num_hidden": "two"}, "num_hidden must be an integer, not 'two'"),
        ({"num_hidden": 10**9}, "num_hidden must be at most 1000"),
        ({"hidden_sise": 8}, "unknown key 'hidden_sise'; did you mean 'hidden'?"),
    ],
)
def test_wrong_aliases_are_named(settings, mistake):
    with pytest.raises(SettingsError, match=re.escape(mistake)):
        TrainingConfig.from_dict(settings)


@pytest.mark.parametrize("text", ["1e-3", "2E5", "-1e+2", "+3e0", "1.5e3"])
def test_the_proposed_number_is_one_for_yaml(text):
    assert isinstance(yaml.safe_load(text), str)
    change = put(*LANDER, "train", "decrease_rewards_by", text)
    (line,) = mistakes(changed(change))
    assert yaml.safe_load(line.rpartition("write ")[2]) == float(text)


def test_settings_follow_from_others():
    train = {"env_name": "CartPole-v1", "max_speed": 0.2, "popsize": 10}
    config = read_config(changed(put(*LANDER, "train", train)))
    read = config.experiments["lander"].train
    assert read is not None
    assert (read.center_lr, read.radius) == (0.1, 3.0)
    assert (read.popsize_max, read.num_interactions) == (80, 1500)


def test_populations_adapt_outside_of_posggym_only():
    settings = TrainingConfig.from_dict({"env_name": "posggym:Driving-v1"})
    assert (settings.popsize_max, settings.num_interactions) == (None, None)
    settings = TrainingConfig.from_dict({"env_name": "Walker2d-v4", "popsize": 100})
    assert (settings.popsize_max, settings.num_interactions) == (800, 15000)


def test_what_was_given_comes_back():
    config = read_config(CONFIG)
    assert config.given() == CONFIG
    assert WorkflowConfig.from_dict(config.given()) == config


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"films": "false"}, {"films": False}),
        ({"films": "no"}, {"films": False}),
        ({"crossplay": {"episodes": "4"}}, {"crossplay": {"episodes": 4}}),
        ({"crossplay": "null"}, {"crossplay": None}),
        ({"only": "lander"}, {"only": ["lander"]}),
        ({"only": "lander,pursuit"}, {"only": ["lander", "pursuit"]}),
        # Where the setting is text, it stays text.
        ({"branch": "no"}, {"branch": "no"}),
        ({"policy": "1"}, {"policy": "1"}),
    ],
)
def test_text_of_the_command_line_is_read_as_yaml_reads_it(given, read):
    assert read_config(CONFIG | given, given).given() == CONFIG | read


@pytest.mark.parametrize("text", ["maybe", "{"])
def test_text_that_yaml_takes_for_no_value_is_shown_as_it_is(text):
    given = {"films": text}
    with pytest.raises(SettingsError, match=f"films must be .*, not '{text}'"):
        read_config(CONFIG | given, given)


def test_arguments_of_environments_get_their_types():
    env = {"grid": "7x7", "num_agents": "2", "flag": "true"}
    given = {"experiments": {"lander": {"train": {"env_config": env}}}}
    config = changed(put(*LANDER, "train", "env_config", env))
    train = read_config(config, given).experiments["lander"].train
    assert train is not None
    assert train.env_config == {"grid": "7x7", "num_agents": 2, "flag": True}


# Not the marks that pydantic puts into paths, and that messages leave out.
KEYS = st.text(max_size=9).filter(lambda key: key not in (LIST, MAPPING, FILE))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(KEYS, inner, max_size=3),
)


@given(st.data())
def test_whatever_stands_anywhere_is_explained_or_valid(data):
    config = copy.deepcopy(CONFIG)
    target, path = config, []
    while True:
        keys = [k for k in target if isinstance(target[k], dict) and target[k]]
        if not keys or data.draw(st.booleans()):
            break
        path.append(data.draw(st.sampled_from(keys)))
        target = target[path[-1]]
    key = data.draw(st.sampled_from(sorted(target)) | KEYS)
    target[key] = data.draw(VALUES)
    for line in mistakes(config):
        assert "\n" not in line
        # It leads to the place, or to the mapping and says which key. Names of policies
        # must fit the seeds and roles of their experiment.
        inside = line.startswith(".".join(path)) and repr(key)[1:-1] in line
        places = [*path, key], [*path[:2], "register.policy_name"]
        assert inside or line.startswith(tuple(map(".".join, places))), line
