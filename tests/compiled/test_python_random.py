"""Compiled generators draw what Python's own draw; sets come in Python's order."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helper_calls import Helpers
from posggym_compiled.jit import kernel
from posggym_compiled.random import python_random, python_sets, seeding

RANDOM, SETS = Helpers(python_random), Helpers(python_sets)
SEEDS = st.one_of(
    st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**64 - 1])
)


@kernel
def seed_once(rng, value):
    python_random.seed_random(rng, value)


@kernel
def seed_all(seeds, generators):
    seeding.seed_generators(seeds, generators)


def seeded(seed):
    rng = np.zeros(python_random.SIZE, np.uint32)
    seed_once(rng, np.uint64(seed))
    return rng


@settings(deadline=None, max_examples=30)
@given(st.lists(SEEDS, min_size=1, max_size=40))
def test_generators_seeded_together_are_those_seeded_alone(seeds):
    generators = seeding.make_generators(len(seeds))
    seed_all(np.array(seeds, np.uint64), generators)
    for seed, words in zip(seeds, generators.words, strict=False):
        state = random.Random(seed).getstate()[1]
        # Python begins with all words used up; here each is renewed when it is drawn.
        assert tuple(words[:-1].tolist()) == state[:-1]
        copy = np.zeros_like(words)
        seed_once(copy, words)
        assert RANDOM.random(copy) == random.Random(seed).random()


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(1, 2**31 - 1))
def test_draws_are_those_of_python(seed, n):
    ours, theirs = seeded(seed), random.Random(seed)
    for _ in range(400):
        assert RANDOM.random(ours) == theirs.random()
        assert RANDOM.randbelow(ours, n) == theirs.choice(range(n))
        assert RANDOM.randint(ours, -3, n) == theirs.randint(-3, n)
        assert RANDOM.uniform(ours, -1.5, 2.0) == theirs.uniform(-1.5, 2.0)


@settings(deadline=None, max_examples=50)
@given(SEEDS, st.integers(0, 30))
def test_shuffles_are_those_of_python(seed, n):
    ours, theirs = seeded(seed), random.Random(seed)
    for _ in range(50):
        values = list(range(n))
        theirs.shuffle(values)
        array = np.arange(n)
        RANDOM.shuffle(ours, array)
        assert list(array) == values


COORDS = list(itertools.product(range(7), range(9)))
HASHES = SETS.hashes_of(COORDS)
NUMBERS = {coord: number for number, coord in enumerate(COORDS)}
LENGTH = SETS.set_length(2 * len(COORDS))
OPERATIONS = ["add", "add", "add", "discard", "pop", "update", "difference", "copy"]


def empty():
    out = np.zeros(LENGTH, np.int64)
    SETS.clear(out)
    return out


def order(array):
    out = np.zeros(len(COORDS), np.int64)
    count = SETS.elements(array, out)
    return [COORDS[number] for number in out[:count]]


def apply(operation, ours, theirs, i, j, number):
    """Do the same to set i of both; j is another set."""
    coord = COORDS[number]
    if operation == "add":
        SETS.add(ours[i], HASHES, number)
        theirs[i].add(coord)
    elif operation == "discard":
        SETS.discard(ours[i], HASHES, number)
        theirs[i].discard(coord)
    elif operation == "pop" and theirs[i]:
        assert COORDS[SETS.pop(ours[i])] == theirs[i].pop()
    elif operation == "update":
        SETS.update(ours[i], HASHES, ours[j])
        theirs[i].update(theirs[j])
    elif operation == "difference":
        out = empty()
        SETS.difference(ours[i], HASHES, ours[j], out)
        ours[i], theirs[i] = out, theirs[i].difference(theirs[j])
    elif operation == "copy":
        ours[i] = empty()
        SETS.update(ours[i], HASHES, ours[j])
        theirs[i] = set(theirs[j])


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(OPERATIONS),
            st.permutations(range(3)),
            st.integers(0, len(COORDS) - 1),
        ),
        max_size=200,
    )
)
def test_sets_come_in_the_order_of_python(operations):
    ours, theirs = [empty() for _ in range(3)], [set() for _ in range(3)]
    for operation, (i, j, _), number in operations:
        apply(operation, ours, theirs, i, j, number)
        assert order(ours[i]) == list(theirs[i])
        assert SETS.contains(ours[i], HASHES, number) == (COORDS[number] in theirs[i])


@pytest.mark.parametrize("removed", [0, 3, 20])
def test_a_set_in_memory_is_read_with_all_that_decides_its_order(removed):
    rng = random.Random(removed)
    original = set(rng.sample(COORDS, 40))
    for _ in range(removed):
        original.remove(rng.choice(list(original)))
    array = SETS.set_of(original, NUMBERS, LENGTH)
    assert order(array) == list(original)
    for coord in rng.sample(COORDS, 20):
        original.add(coord)
        SETS.add(array, HASHES, NUMBERS[coord])
    assert order(array) == list(original)


@given(*[st.integers(0, 2**61 - 2)] * 3)
def test_hashes_of_tuples_are_those_of_python(x, y, z):
    assert SETS.hash_pair(x, y) == hash((x, y))
    inner = SETS.hash_pair(x, z)
    assert SETS.hash_triple(x, inner, y) == hash((x, (x, z), y))
