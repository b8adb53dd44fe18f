"""What is known about policies, between the files that hold it."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages import exactly
from pgpelib.policies.metadata import (
    TRAINING_KEYS,
    Origin,
    PolicyMetadata,
    Reference,
)

COUNTS = st.integers(0, 2**62)
NUMBERS = st.lists(st.floats(allow_nan=False) | st.integers(-5, 5), max_size=3)
LINES = st.text("abc/-_ 19", max_size=5)
PARTNERS = st.lists(LINES, max_size=2) | st.dictionaries(LINES, st.integers(1, 9))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | LINES,
    lambda parts: st.lists(parts, max_size=2) | st.dictionaries(LINES, parts),
    max_leaves=4,
)
VALUES = {
    **dict.fromkeys(
        ("generation", "timesteps", "seed", "update", "best_generation"), COUNTS
    ),
    **dict.fromkeys(("role", "commit", "re_eval_env_name"), LINES),
    **dict.fromkeys(("algorithm", "policy_id"), LINES),
    "re_eval_returns": NUMBERS,
    "partners": PARTNERS,
    "config": st.fixed_dictionaries({}, optional={"x": PLAIN, "partners": PARTNERS}),
    "origin": st.fixed_dictionaries({"file": LINES, "sha256": LINES}),
    "reference": st.integers(0, 3).map(
        lambda n: {"returns": [0.5] * n, "seeds": list(range(n))}
    ),
}
# Nulls, keys that nothing reads, and any order, as files of others have.
NOTES = st.fixed_dictionaries(
    {}, optional={key: st.none() | value for key, value in VALUES.items()}
).flatmap(
    lambda known: st.dictionaries(LINES.filter(lambda key: key not in VALUES), PLAIN)
    .map(lambda extra: [*known.items(), *extra.items()])
    .flatmap(st.permutations)
    .map(dict)
)


@given(NOTES)
def test_files_get_back_what_they_said(notes):
    metadata = PolicyMetadata.from_notes(notes)
    written = metadata.to_notes()
    assert written == notes
    assert list(written) == list(notes)
    for key, value in notes.items():
        if key not in VALUES:
            assert metadata.extra[key] == value
        elif not isinstance(value, dict):
            assert getattr(metadata, key) == value


@given(NOTES)
def test_what_is_added_comes_last(notes):
    metadata = PolicyMetadata.from_notes({**notes, "origin": None, "reference": None})
    metadata = dataclasses.replace(
        metadata, origin=Origin("a.pickle", "00"), reference=Reference([1.0], [7])
    )
    written = metadata.to_notes()
    assert written["origin"] == {"file": "a.pickle", "sha256": "00"}
    assert written["reference"] == {"returns": [1.0], "seeds": [7]}
    rest = {k: v for k, v in written.items() if k not in ("origin", "reference")}
    others = {k: v for k, v in notes.items() if k not in ("origin", "reference")}
    assert rest == others


def test_policies_of_this_trainer_state_what_is_not_known():
    metadata = PolicyMetadata(generation=3, config={}, stated=TRAINING_KEYS)
    written = metadata.to_notes()
    assert tuple(written) == TRAINING_KEYS
    assert written["role"] is written["re_eval_returns"] is None
    assert PolicyMetadata.from_notes(written) == metadata
    assert PolicyMetadata(generation=3).to_notes() == {"generation": 3}


def test_partners_are_those_of_the_reference_or_of_the_training():
    trained = PolicyMetadata(config={"partners": ["Driving-v1/A0Shortestpath-v0"]})
    assert trained.partner_ids == ["Driving-v1/A0Shortestpath-v0"]
    alone = dataclasses.replace(trained, partners=[])
    assert alone.partner_ids == []
    assert PolicyMetadata().partner_ids == []
    weighted = PolicyMetadata(config={"partners": {"Random-v0": 2}})
    assert weighted.played_with == {"Random-v0": 2}
    assert weighted.partner_ids == ["Random-v0"]


@pytest.mark.parametrize(("length", "limit"), [(-1, None), (50, 50), ("x", None)])
def test_a_limit_is_a_positive_number_of_steps(length, limit):
    metadata = PolicyMetadata(config={"max_episode_length": length})
    assert metadata.episode_limit == limit
    assert PolicyMetadata().episode_limit is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"generation": -1}, "generation is not a count"),
        ({"role": 0}, "role is not a single line of text"),
        ({"partners": "0"}, "partners is not a list of policy ids or their weights"),
        *(
            (
                {"config": {"partners": partners}},
                "config.partners is not a list of policy ids or their weights",
            )
            for partners in ([1], {"a": "b"})
        ),
        (
            {"config": {"optimizer": "sgd"}},
            "config.optimizer is neither clipup nor adam",
        ),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ValueError, match=exactly(message)):
        PolicyMetadata(**values)
    with pytest.raises(ValueError, match=exactly(f"notes.{message}")):
        PolicyMetadata.from_notes(values)


def test_references_have_as_many_returns_as_seeds():
    with pytest.raises(ValueError, match="reference does not have one seed per return"):
        Reference([1.0], [])
    message = "the policy has no returns to compare with; extract it first"
    with pytest.raises(ValueError, match=exactly(message)):
        _ = PolicyMetadata().extracted_reference
