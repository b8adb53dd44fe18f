"""Best responses to saved policies: the same run wherever their files are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pgpelib.policies.partners import is_saved
from pgpelib.restore import load_policy
from pgpelib.training.config import TrainingConfig
from pgpelib.training.loop import RunMismatchError
from posggym_es import chain
from posggym_es.policies.policy_file import read_metadata
from training_runs import results, train

GAME = {
    "env_name": "posggym:CooperativeReaching-v0",
    "niters": 2,
    "popsize": 4,
    "popsize_max": None,
    "num_interactions": None,
    "max_episode_length": 10,
    "save_interval": 1,
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> list[Path]:
    """Two policies of a self-play run, the earlier one first."""
    training = train(tmp_path_factory.mktemp("self_play"), **GAME)
    return sorted(training.policies_dir.iterdir())


@pytest.fixture(scope="module")
def partners(saved, tmp_path_factory) -> Path:
    """A file that names partners with weights."""
    path = tmp_path_factory.mktemp("partners") / "partners.json"
    weights = {str(saved[0]): 1, str(saved[1]): 2, "Random-v0": 1}
    path.write_text(json.dumps(weights))
    return path


@pytest.fixture(scope="module")
def response(partners, tmp_path_factory) -> Path:
    """The folder of a run that answers them."""
    folder = tmp_path_factory.mktemp("response")
    train(folder, **GAME, partners=str(partners))
    return folder


def config_with(partners) -> TrainingConfig:
    return TrainingConfig.from_dict({**GAME, "partners": partners})


def test_a_run_is_the_same_wherever_its_partners_are(
    saved, partners, response, tmp_path
):
    moved = [shutil.copy2(path, tmp_path) for path in saved]
    inline = {str(moved[0]): 1, str(moved[1]): 2, "Random-v0": 1}
    assert config_with(inline).digest == config_with(str(partners)).digest
    train(tmp_path / "run", **GAME, partners=inline)
    assert results(tmp_path / "run") == results(response)


def test_another_partner_is_another_run(saved, partners, response):
    swapped = {str(saved[0]): 2, str(saved[1]): 1, "Random-v0": 1}
    assert config_with(swapped).digest != config_with(str(partners)).digest
    first, second = ([str(path), "Random-v0"] for path in saved)
    assert config_with(first).digest != config_with(second).digest
    with pytest.raises(RunMismatchError, match="partners: .* -> "):
        train(response, **GAME, partners=swapped)
    # Its own are still there.
    train(response, **GAME, partners=str(partners))


def test_a_policy_has_its_partners_next_to_it_in_every_step(response, tmp_path):
    moved = tmp_path / "policies"
    shutil.copytree(response / "policies", moved)
    latest = max(moved.glob("*.pickle"))
    for name in filter(is_saved, load_policy(latest).metadata.partner_ids):
        assert Path(name).is_relative_to(moved)
        load_policy(name)
    chain.extract(moved, tmp_path / "extracted")
    shutil.rmtree(moved)
    known = read_metadata(tmp_path / "extracted")
    names = [name for name in known.partner_ids if is_saved(name)]
    assert len(names) == 2
    assert all(Path(name).is_relative_to(tmp_path / "extracted") for name in names)
    assert sorted(known.played_with.values()) == [1, 1, 2]
    # On disk, nothing depends on the folder.
    assert str(tmp_path) not in (tmp_path / "extracted" / "policy.json").read_text()

    chain.convert(tmp_path / "extracted", tmp_path / "converted")
    spec = chain.register(
        tmp_path / "extracted",
        tmp_path / "converted",
        tmp_path / "tree",
        policy_name="br",
    )
    report = chain.verify(spec, tmp_path / "extracted", tmp_path / "tree")
    assert report["passed"]
    assert report["returns"] == pytest.approx(report["reference_returns"])
    assert str(tmp_path) not in json.dumps(report["company"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "partners.yaml: names no partners"),
        ("Random-v0: 0", "the weight of Random-v0 is not greater than 0"),
        ("[Random-v0]", "partners.yaml, line 1: not a mapping of keys to values"),
        ("missing.pickle: 1", "missing.pickle: not a policy file: No such file"),
    ],
)
def test_files_that_name_no_partners_are_refused(text, message, tmp_path):
    path = tmp_path / "partners.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", **GAME, partners=str(path))


def test_a_partner_from_another_environment_is_refused(saved, tmp_path):
    changes = {"env_name": "posggym:Driving-v1", "partners": [str(saved[0])]}
    with pytest.raises(
        ValueError, match=r"trained in CooperativeReaching-v0 does not fit"
    ):
        train(tmp_path, **{**GAME, **changes})
