"""Mistakes in the config: the key, what is wrong, and what to write instead."""

from __future__ import annotations

import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pgpelib.training.config import TrainingConfig
from posggym_es.registration.spec import checked_settings
from posggym_es.utils.schema_check import mistakes_in, read_as_yaml
from workspace import CONFIG


@pytest.fixture(scope="module")
def schema(root):
    path = root / "config" / "schemas" / "config.schema.yaml"
    return yaml.safe_load(path.read_text())


def mistakes(schema, change):
    config = copy.deepcopy(CONFIG)
    change(config)
    return mistakes_in(config, schema)


LANDER = ("experiments", "lander")


def put(*path_and_value):
    *path, name, value = path_and_value

    def change(config):
        for key in path:
            config = config[key]
        config[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            put("experimnts", {}),
            "'experimnts' is not a key; did you mean 'experiments'",
        ),
        (
            put(*LANDER, "train", "hiden", [3]),
            "experiments.lander.train: 'hiden' is not a key; did you mean 'hidden'?",
        ),
        (
            put(*LANDER, "train", "activation", "gelu"),
            "experiments.lander.train.activation: 'gelu' is not one of tanh, relu",
        ),
        (
            put(*LANDER, "train", "niters", "many"),
            "experiments.lander.train.niters: 'many' is not a whole number",
        ),
        (put(*LANDER, "train", "niters", 0), "niters: 0 has to be at least 1"),
        (put(*LANDER, "train", "radius", 0), "radius: 0 has to be more than 0"),
        (put(*LANDER, "train", "popsize", 7), "popsize: 7 has to be a multiple of 2"),
        (put(*LANDER, "train", "roles", ["a;b"]), "roles.0: 'a;b' is not allowed"),
        (put(*LANDER, "register", {}), "lander.register: policy_name has to be given"),
        (put(*LANDER, "seeds", []), "experiments.lander.seeds: has to have at least 1"),
        (put(*LANDER, "seeds", "all"), "experiments.lander.seeds: 'all' is not a list"),
        (
            put(*LANDER, "train", "popsize_max", "none"),
            "popsize_max: 'none' is not a whole number or null",
        ),
        (put("posggym_repo", "x"), "posggym_repo needs agent_models_repo, too"),
        (put("experiments", "../up", {}), "'../up' is not allowed"),
        (put("experiments", "A B", {}), "'A B' is not allowed"),
        (put("branch", "-f"), "branch: '-f' is not allowed"),
        (put("agent_models_url", "file:///etc/"), "agent_models_url: "),
        (put(*LANDER, "register", "env_type", "../x"), "env_type: '../x' is not"),
        (
            put(*LANDER, "register", "version", 1.0),
            "version: 1.0 is not a whole number",
        ),
        (put(*LANDER, "seeds", [True]), "seeds.0: True is not a whole number"),
        (
            put(*LANDER, "train", "stdev_lr", float("nan")),
            "train.stdev_lr: nan is not a finite number",
        ),
        (
            put(*LANDER, "train", "env_config", {1: 2}),
            "train.env_config: 1 is not text",
        ),
        (
            put(*LANDER, "train", "max_speed", "1e-3"),
            "max_speed: '1e-3' is not a finite number: YAML reads it as text; write "
            "1.0e-3",
        ),
        (put("films", "no"), "films: 'no' is not true or false"),
    ],
)
def test_each_mistake_is_explained(schema, change, message):
    found = mistakes(schema, change)
    assert any(message in line for line in found), found
    assert all("\n" not in line for line in found)


def test_valid_configs_have_no_mistakes(root, schema):
    assert mistakes_in(CONFIG, schema) == []
    shipped = yaml.safe_load((root / "config" / "config.yaml").read_text())
    assert mistakes_in(shipped, schema) == []


def test_the_schema_knows_every_training_setting(schema):
    known = set(schema["$defs"]["train"]["properties"])
    # The rule gives seeds and workers.
    assert known == set(TrainingConfig().to_dict()) - {"seed", "num_cpus"}


@pytest.mark.parametrize("text", ["1e-3", "2E5", "-1e+2", "+3e0", "1.5e3"])
def test_the_proposed_number_is_one_for_yaml(schema, text):
    assert isinstance(yaml.safe_load(text), str)
    (line,) = mistakes(schema, put(*LANDER, "train", "decrease_rewards_by", text))
    assert yaml.safe_load(line.rpartition("write ")[2]) == float(text)


def test_the_config_knows_the_same_settings_of_agents_as_the_scripts(schema):
    properties = schema["$defs"]["register"]["properties"]
    for name in properties:
        with pytest.raises(ValueError, match=f"{name}: 1.5 is not"):
            checked_settings({"policy_name": "x", name: 1.5})
    with pytest.raises(ValueError, match=r"'\?' is not a key") as caught:
        checked_settings({"policy_name": "x", "?": 0})
    known = str(caught.value).rpartition("known are ")[2].split(", ")
    assert set(known) == set(properties)


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"films": "false"}, {"films": False}),
        ({"films": "no"}, {"films": False}),
        ({"crossplay": {"episodes": "4"}}, {"crossplay": {"episodes": 4}}),
        ({"only": "lander"}, {"only": "lander"}),
        # Where the schema wants text, it stays text.
        ({"branch": "no"}, {"branch": "no"}),
        ({"policy": "null"}, {"policy": "null"}),
        ({"only": ["lander", "on"]}, {"only": ["lander", "on"]}),
        ({"films": "maybe"}, {"films": "maybe"}),
        ({"films": "{"}, {"films": "{"}),
    ],
)
def test_text_of_the_command_line_is_read_as_yaml_reads_it(schema, given, read):
    config = {**CONFIG, **copy.deepcopy(given)}
    read_as_yaml(config, given, schema)
    assert config == {**CONFIG, **read}


def test_arguments_of_environments_get_their_types(schema):
    env = {"grid": "7x7", "num_agents": "2", "flag": "true"}
    given = {"experiments": {"lander": {"train": {"env_config": env}}}}
    config = copy.deepcopy(CONFIG)
    train = config["experiments"]["lander"]["train"]
    train["env_config"] = dict(env)
    read_as_yaml(config, given, schema)
    assert train["env_config"] == {"grid": "7x7", "num_agents": 2, "flag": True}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


@given(st.data())
def test_whatever_stands_anywhere_is_explained_or_valid(schema, data):
    config = copy.deepcopy(CONFIG)
    target = config
    while True:
        keys = [k for k in target if isinstance(target[k], dict) and target[k]]
        if not keys or data.draw(st.booleans()):
            break
        target = target[data.draw(st.sampled_from(keys))]
    known = data.draw(st.sampled_from(sorted(target)) | st.text(max_size=9))
    target[known] = data.draw(VALUES)
    for line in mistakes_in(config, schema):
        assert line
