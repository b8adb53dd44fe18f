"""A policy file that changes after its proof is refused by every step that reads it."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest

from checkpoints import save_checkpoint
from messages import exactly
from posggym_es.chain import convert, extract, register, verify
from posggym_es.conversion.report import read_conversion
from posggym_es.registration.posggym_trees import make_tree
from posggym_es.registration.spec import AgentSpec
from posggym_es.registration.staging import stage_assets, stage_models
from workspace import python_with_tree


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An agent of the plain calls: extracted, converted, registered."""
    folder = tmp_path_factory.mktemp("made")
    save_checkpoint(folder / "checkpoints")
    (file,) = (folder / "checkpoints").iterdir()
    extract(file, folder / "extracted", episodes=2)
    convert(folder / "extracted", folder / "converted")
    spec = register(
        folder / "extracted", folder / "converted", folder / "tree", policy_name="ppo"
    )
    return spec, folder


@pytest.fixture
def changed(made, tmp_path):
    """A policy file with one other bit in its last weight."""
    data = bytearray((made[1] / "converted/policy.pkl").read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "policy.pkl"
    path.write_bytes(data)
    return path


def refusal(spec, path):
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    return (
        f"{path}: not the policy that was proved for {spec.id}: its SHA-256 is "
        f"{found}, not {spec.policy_sha256}; remove the file and run again"
    )


def test_specs_have_the_hash_of_the_proved_file(made):
    spec, folder = made
    data = (folder / "converted/policy.pkl").read_bytes()
    assert spec.policy_sha256 == hashlib.sha256(data).hexdigest()
    assert AgentSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert spec.policy_bytes(folder / "converted/policy.pkl") == data


@pytest.mark.parametrize("stage", [stage_models, stage_assets])
def test_other_files_are_not_staged(made, changed, tmp_path, stage):
    with pytest.raises(ValueError, match=exactly(refusal(made[0], changed))):
        stage([(made[0], changed)], tmp_path / "staged")
    assert not (tmp_path / "staged").exists()


def test_specs_are_not_made_for_other_files(made, changed):
    path = changed.parent / "conversion.json"
    path.write_bytes((made[1] / "converted/conversion.json").read_bytes())
    message = (
        f"{changed}: changed since its conversion was proved: its SHA-256 is not the "
        "one in conversion.json; remove both files and run again"
    )
    with pytest.raises(ValueError, match=exactly(message)):
        read_conversion(changed.parent)


def test_trees_are_not_made_of_other_files(made, changed, tmp_path):
    spec, _ = made
    unknown = dataclasses.replace(spec, policy_sha256=None)
    (staged,) = stage_assets([(unknown, changed)], tmp_path / "assets")
    with pytest.raises(ValueError, match=exactly(refusal(spec, staged))):
        make_tree([spec], tmp_path / "assets", tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


PLAY = (
    "import json, sys\n"
    "from posggym_es.evaluation.playing import CoPlayers\n"
    "from posggym_es.registration.spec import AgentSpec\n"
    "from posggym_es.evaluation.verification import registered_player\n"
    "registered_player(AgentSpec.from_json(json.loads(sys.argv[1])), CoPlayers())\n"
)


@pytest.mark.slow
def test_other_files_are_neither_verified_nor_played(made, changed):
    spec, folder = made
    (staged,) = (folder / "tree").rglob("ppo.pkl")
    right = staged.read_bytes()
    assert verify(spec, folder / "extracted", folder / "tree")["passed"]
    staged.write_bytes(changed.read_bytes())
    message = refusal(spec, staged)
    with pytest.raises(RuntimeError, match="not the policy that was proved"):
        verify(spec, folder / "extracted", folder / "tree")
    with pytest.raises(AssertionError) as error:
        python_with_tree(
            folder / "tree",
            PLAY,
            json.dumps(spec.to_json()),
            PYTHONDONTWRITEBYTECODE="1",
        )
    assert message in str(error.value)
    staged.write_bytes(right)
