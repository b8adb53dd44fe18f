"""Which of the saved policies is taken."""

from __future__ import annotations

import dataclasses

import pytest

from checkpoints import save_checkpoint
from made_policies import random_policy
from messages import exactly
from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.saving import save_policy
from posggym_es.evaluation.extraction import extract
from posggym_es.policies.policy_file import TENSORS_FILE
from posggym_es.sources.base import ExtractionError
from posggym_es.sources.registry import pick_policy, read_policies


def save(folder, name, **known):
    path = folder / f"{name}.pickle"
    save_policy(
        dataclasses.replace(random_policy(), metadata=PolicyMetadata(**known)), path
    )
    return path


def test_the_highest_generation_or_the_best_is_taken(tmp_path):
    save(tmp_path, "a", generation=9, re_eval_returns=[3.0, 5.0])
    best = save(tmp_path, "b", generation=10, re_eval_returns=[8.0, 0.0])
    latest = save(tmp_path, "c", generation=11, re_eval_returns=[])
    assert pick_policy(tmp_path, "latest").file == latest
    # Of equals, the later one.
    assert pick_policy(tmp_path, "best").file == best
    # The converter takes what the pipeline takes.
    (converted,) = read_policies(tmp_path).values()
    assert converted.metadata.generation == 11


def test_returns_that_are_not_numbers_are_the_worst(tmp_path):
    good = save(tmp_path, "a", generation=1, re_eval_returns=[-5.0])
    for name, generation, returns in (
        ("b", 2, [float("nan")]),
        ("c", 3, None),
        ("d", 4, [float("-inf"), 1.0]),
    ):
        save(tmp_path, name, generation=generation, re_eval_returns=returns)
    assert pick_policy(tmp_path, "best").file == good


@pytest.mark.parametrize(
    ("checkpoint", "config", "chosen"),
    [
        ("best", {}, True),
        ("latest", {"keep_best": True}, True),
        ("latest", {"keep_best": False}, False),
        ("latest", None, False),
    ],
)
def test_the_best_of_many_is_known_as_such(tmp_path, checkpoint, config, chosen):
    path = save(tmp_path, "a", config=config)
    assert pick_policy(path, checkpoint).by_returns == chosen


def test_a_file_is_taken_as_it_is(tmp_path):
    path = save(tmp_path, "a")
    assert pick_policy(path, "latest").file == path
    assert pick_policy(tmp_path, "latest").file == path


def test_roles_have_policies_of_their_own(tmp_path):
    first = save(tmp_path, "a", generation=5, role="0")
    save(tmp_path, "b", generation=5, role="1")
    assert pick_policy(tmp_path, "latest", "0").file == first
    message = f"{tmp_path}: holds policies for the roles 0, 1; choose one"
    with pytest.raises(ExtractionError, match=exactly(message)):
        pick_policy(tmp_path, "latest")


def test_what_cannot_be_chosen_from_is_named(tmp_path):
    message = (
        f"{tmp_path}: holds no policies (policy.json, *.zip, "
        "*.cleanrl_model, *.pt, *.pth, *.pickle, *.pkl, module_state.pkl, *.bin)"
    )
    with pytest.raises(ExtractionError, match=exactly(message)):
        pick_policy(tmp_path, "latest")
    save(tmp_path, "a", generation=1)
    save(tmp_path, "b", generation=2)
    message = "unknown checkpoint 'newest'; choose one of latest, best"
    with pytest.raises(ExtractionError, match=exactly(message)):
        pick_policy(tmp_path, "newest")
    path = save(tmp_path, "c")
    message = (
        f"{path}: does not say which generation it is of; name the policy file "
        "instead of the folder"
    )
    with pytest.raises(ExtractionError, match=exactly(message)):
        pick_policy(tmp_path, "latest")


def test_only_a_single_checkpoint_of_the_baselines_stands_for_a_folder(tmp_path):
    save_checkpoint(tmp_path, 1, "A")
    save_checkpoint(tmp_path, 2, "A")
    picked = pick_policy(tmp_path)
    assert picked.file == tmp_path / "checkpoint_2_A.pt"
    assert picked.policy.metadata.role is None
    # Those who were there in training are unknown.
    policy = pick_policy(tmp_path, role="1").policy
    assert (policy.metadata.role, policy.metadata.partner_ids) == ("1", ["Random-v0"])
    save_checkpoint(tmp_path, 1, "B")
    message = (
        f"{tmp_path}: holds the policies A, B; name the file of one instead of the "
        "folder"
    )
    with pytest.raises(ExtractionError, match=exactly(message)):
        pick_policy(tmp_path)


def test_extracted_policies_can_be_extracted_again(tmp_path):
    save(tmp_path, "a", generation=1, re_eval_returns=[1.0, 2.0])
    extract(tmp_path, tmp_path / "first")
    assert extract(tmp_path / "first", tmp_path / "second") == [1.0, 2.0]
    first, second = (tmp_path / name / TENSORS_FILE for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()
