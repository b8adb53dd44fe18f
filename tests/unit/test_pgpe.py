"""PGPE, ClipUp, Adam and ranking against independent derivations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pgpelib import PGPE, Adam, ClipUp, centered_ranks
from pgpelib.search.pgpe import SearchDistribution, episode_seed, random_stream

finite = st.floats(-1e6, 1e6, allow_nan=False, width=64)
fitness_vectors = hnp.arrays(np.float64, st.integers(2, 60), elements=finite)


@given(fitness_vectors)
def test_ranks_are_centered_bounded_and_ordered(fitnesses):
    ranks = centered_ranks(fitnesses)
    assert abs(ranks.mean()) < 1e-12
    assert ranks.min() >= -0.5
    assert ranks.max() <= 0.5
    for i, j in zip(*np.triu_indices(len(ranks), 1), strict=True):
        assert np.sign(ranks[i] - ranks[j]) == np.sign(fitnesses[i] - fitnesses[j])


@given(fitness_vectors, st.integers(-20, 20), st.integers(-1000, 1000))
def test_ranks_ignore_monotone_transformations(fitnesses, exponent, offset):
    # Integers scaled by powers of two: exact, so no rounding can merge two values.
    values = np.round(fitnesses)
    transformed = np.ldexp(values + offset, exponent)
    assert np.array_equal(centered_ranks(values), centered_ranks(transformed))


def test_ranks_of_a_small_case():
    assert centered_ranks([3.0, 1.0, 2.0]).tolist() == [0.5, -0.5, 0.0]
    assert centered_ranks([7.0, 7.0, 1.0]).tolist() == [0.25, 0.25, -0.5]


def test_failed_solutions_rank_below_all_others():
    ranks = centered_ranks([np.nan, -1e300, 5.0, np.inf])
    assert ranks[0] == ranks[3] < ranks[1] < ranks[2]


def test_equal_fitnesses_give_no_gradient():
    distribution = SearchDistribution(np.zeros(5), np.ones(5), seed=1, generation=0)
    center, stdev = distribution.gradients(centered_ranks(np.full(10, 3.0)))
    assert not center.any()
    assert not stdev.any()


@given(
    hnp.arrays(np.float64, 7, elements=st.floats(-1e3, 1e3)),
    st.floats(1e-3, 1.0),
    st.floats(1e-3, 1.0),
)
def test_clipup_never_exceeds_its_speed(gradient, step_size, max_speed):
    optimizer = ClipUp(7, step_size, max_speed=max_speed)
    for sign in (1, 1, -1, 1):
        step = optimizer.ascent(sign * gradient)
        assert np.linalg.norm(step) <= max_speed * (1 + 1e-12)


def test_clipup_by_hand():
    optimizer = ClipUp(2, step_size=1.0, max_speed=1.5, momentum=0.9)
    # Normalised to (0.6, 0.8), whatever the length of the gradient.
    assert optimizer.ascent(np.array([30.0, 40.0])) == pytest.approx([0.6, 0.8])
    # 0.9 * (0.6, 0.8) + (0.6, 0.8) has length 1.9 and is clipped to 1.5.
    assert optimizer.ascent(np.array([3.0, 4.0])) == pytest.approx([0.9, 1.2])
    # Without a direction the velocity decays.
    assert optimizer.ascent(np.zeros(2)) == pytest.approx([0.81, 1.08])


def test_adam_by_hand():
    optimizer = Adam(1, step_size=0.1)
    # The first step has length step_size for any gradient.
    assert optimizer.ascent(np.array([5.0])) == pytest.approx([0.1], rel=1e-6)
    first = (0.9 * 0.1 * 5 + 0.1 * -1) / (1 - 0.9**2)
    second = (0.999 * 0.001 * 25 + 0.001 * 1) / (1 - 0.999**2)
    expected = 0.1 * first / (np.sqrt(second) + 1e-8)
    assert optimizer.ascent(np.array([-1.0])) == pytest.approx([expected])


@given(st.integers(1, 300), st.integers(0, 2**31), st.integers(1, 9))
def test_gradients_are_the_means_of_their_definition(pairs, seed, size):
    rng = np.random.default_rng(seed)
    center, stdev = rng.normal(size=size), rng.uniform(0.1, 2.0, size)
    distribution = SearchDistribution(center, stdev, seed, generation=3)
    fitnesses = rng.normal(size=2 * pairs)
    center_terms, stdev_terms = [], []
    for pair in range(pairs):
        plus, minus = distribution.pair(pair)
        noise = plus - center
        assert minus == pytest.approx(center - noise)
        f_plus, f_minus = fitnesses[2 * pair], fitnesses[2 * pair + 1]
        center_terms.append(noise * (f_plus - f_minus) / 2)
        advantage = (f_plus + f_minus) / 2 - fitnesses.mean()
        stdev_terms.append(advantage * (noise**2 - stdev**2) / stdev)
    center_gradient, stdev_gradient = distribution.gradients(fitnesses)
    tolerance = {"rel": 1e-4, "abs": 1e-4}
    assert center_gradient == pytest.approx(np.mean(center_terms, axis=0), **tolerance)
    assert stdev_gradient == pytest.approx(np.mean(stdev_terms, axis=0), **tolerance)


@pytest.mark.parametrize("place", [(3, 1, 4, 7, 0), (2**31, 0, 10**6, 10**6, 2)])
def test_streams_are_those_of_a_new_philox(place):
    seed, stream, generation, index, learner = place
    # What an odd number of draws leaves over does not come up in the next stream.
    random_stream(1, 2, 3, 4).random(3, dtype=np.float32)
    bits = np.random.Philox(counter=[0, index, generation, stream], key=[seed, learner])
    expected = np.random.Generator(bits).standard_normal(9, dtype=np.float32)
    reused = random_stream(*place).standard_normal(9, dtype=np.float32)
    np.testing.assert_array_equal(reused, expected)


def test_noise_is_standard_normal_and_never_repeats():
    distribution = SearchDistribution(np.zeros(1000), np.ones(1000), 5, 0)
    noise = np.stack([distribution.noise(pair) for pair in range(100)])
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert abs(np.corrcoef(noise)[np.triu_indices(100, 1)]).max() < 0.2
    other = SearchDistribution(np.zeros(1000), np.ones(1000), 5, 1)
    assert not np.array_equal(other.noise(0), noise[0])


def test_episode_seeds_differ_by_everything_they_are_made_for():
    seeds = {
        episode_seed(seed, stream, generation, index)
        for seed in range(3)
        for stream in (1, 2)
        for generation in range(10)
        for index in range(10)
    }
    assert len(seeds) == 600


def test_stdev_changes_by_at_most_its_limit():
    pgpe = PGPE(
        solution_length=4, popsize=10, stdev_learning_rate=100.0, seed=0, stdev_init=1.0
    )
    solutions = pgpe.ask()
    pgpe.tell([-float(np.square(s).sum()) for s in solutions])
    assert np.abs(pgpe.stdev - 1.0) == pytest.approx(np.full(4, 0.2))


def test_adaptive_population_asks_until_enough_interactions():
    pgpe = PGPE(solution_length=2, popsize=4, num_interactions=100, seed=0)
    asked = []
    while True:
        asked += pgpe.ask()
        if pgpe.tell([0.0, 1.0, 2.0, 3.0], [10] * 4):
            break
    assert len(asked) == 12
    assert len({tuple(solution) for solution in asked}) == 12
    assert pgpe.generation == 1


def test_adaptive_population_stops_at_popsize_max():
    pgpe = PGPE(
        solution_length=2, popsize=4, num_interactions=10**9, popsize_max=8, seed=0
    )
    assert [pgpe.tell([0, 1, 2, 3], [1] * 4) for _ in range(2)] == [False, True]


@pytest.mark.parametrize("optimizer", ["clipup", "adam"])
def test_finds_the_optimum_of_a_shifted_sphere(optimizer):
    target = np.linspace(-1, 1, 10)
    pgpe = PGPE(
        solution_length=10,
        popsize=50,
        center_learning_rate=0.02 if optimizer == "clipup" else 0.05,
        optimizer=optimizer,
        optimizer_config={"max_speed": 0.04} if optimizer == "clipup" else None,
        stdev_init=0.3,
        seed=1,
    )
    for _ in range(300):
        pgpe.tell([-float(np.square(s - target).sum()) for s in pgpe.ask()])
    assert np.abs(pgpe.center - target).max() < 0.15


def test_goes_downhill_on_rosenbrock():
    def rosenbrock(x):
        return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())

    pgpe = PGPE(
        solution_length=4,
        popsize=100,
        center_learning_rate=0.02,
        optimizer_config={"max_speed": 0.04},
        stdev_init=0.1,
        center_init=np.array([-1.0, 1.0, -1.0, 1.0]),
        seed=2,
    )
    start = rosenbrock(pgpe.center)
    for _ in range(400):
        pgpe.tell([-rosenbrock(s) for s in pgpe.ask()])
    assert rosenbrock(pgpe.center) < start / 100


def test_without_ranking_the_fitnesses_themselves_are_used():
    settings = {"solution_length": 3, "popsize": 8, "seed": 4}
    raw = PGPE(**settings, solution_ranking=False, optimizer="adam")
    by_hand = Adam(3, raw.optimizer.step_size)
    distribution = SearchDistribution(raw.center, raw.stdev, 4, 0)
    fitnesses = np.array([1.0, -5.0, 2.0, np.nan, 300.0, 4.0, np.inf, 0.0])
    # Failed solutions count as the worst of the others.
    used = np.array([1.0, -5.0, 2.0, -5.0, 300.0, 4.0, -5.0, 0.0])
    expected = by_hand.ascent(distribution.gradients(used)[0])
    raw.ask()
    raw.tell(fitnesses)
    assert np.array_equal(raw.center, expected)


def test_a_population_that_failed_as_a_whole_gives_no_direction():
    pgpe = PGPE(solution_length=3, popsize=4, seed=0, solution_ranking=False)
    center, stdev = pgpe.center, pgpe.stdev
    pgpe.ask()
    pgpe.tell([np.nan] * 4)
    assert np.array_equal(pgpe.center, center)
    assert np.array_equal(pgpe.stdev, stdev)


def test_without_a_seed_each_run_is_another():
    first, second = (PGPE(solution_length=3, popsize=4) for _ in range(2))
    assert not np.array_equal(first.ask(), second.ask())


def step(pgpe):
    pgpe.tell([-float(np.abs(s).sum()) for s in pgpe.ask()])


@pytest.mark.parametrize("optimizer", ["clipup", "adam"])
def test_decays_are_factors_of_each_generation(optimizer):
    common = {"solution_length": 3, "popsize": 8, "seed": 4, "stdev_learning_rate": 0.0}
    plain = PGPE(**common, optimizer=optimizer)
    decaying = PGPE(
        **common, optimizer=optimizer, max_speed_decay=0.5, stdev_decay=0.25
    )
    for generation in range(4):
        # The same gradients for both.
        for pgpe in (plain, decaying):
            pgpe.center, pgpe.stdev = np.ones(3), np.ones(3)
            step(pgpe)
        assert decaying.stdev == pytest.approx(np.full(3, 0.25))
        steps = decaying.center - 1, plain.center - 1
        if optimizer == "adam":
            assert steps[0] == pytest.approx(0.5**generation * steps[1])
        else:
            speed = 0.15 * 0.5**generation
            assert np.linalg.norm(steps[0]) == pytest.approx(speed)


def test_a_restart_is_a_new_search_with_other_random_numbers():
    def make(**changes):
        return PGPE(solution_length=3, popsize=8, seed=4, center_init=7.0, **changes)

    pgpe, fresh = make(max_speed_decay=0.5), make(max_speed_decay=0.5)
    for _ in range(5):
        step(pgpe)
    pgpe.restart()
    assert (pgpe.center == fresh.center).all()
    assert (pgpe.stdev == fresh.stdev).all()
    assert not np.array_equal(pgpe.ask(), fresh.ask())
    resumed = make(max_speed_decay=0.5)
    resumed.load_state(pgpe.state())
    for each in (pgpe, resumed):
        step(each)
        # At full speed, without the velocity of before.
        assert np.linalg.norm(each.center - 7) == pytest.approx(0.15)
    assert np.array_equal(pgpe.center, resumed.center)
    pgpe.restart(center_init=9.0)
    assert (pgpe.center == 9).all()


@pytest.mark.parametrize("optimizer", ["clipup", "adam"])
@pytest.mark.parametrize("decay", [1.0, 0.7])
def test_state_continues_the_same_run(optimizer, decay):
    def make():
        return PGPE(
            solution_length=3,
            popsize=8,
            seed=4,
            optimizer=optimizer,
            max_speed_decay=decay,
            stdev_decay=decay,
        )

    whole, first, second = make(), make(), make()
    for _ in range(6):
        step(whole)
    for _ in range(3):
        step(first)
    second.load_state(first.state())
    for _ in range(3):
        step(second)
    assert np.array_equal(whole.center, second.center)
    assert np.array_equal(whole.stdev, second.stdev)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"popsize": 3}, "even number"),
        ({"popsize": 4, "optimizer": "sgd"}, "unknown optimizer 'sgd'"),
        ({"popsize": 4, "stdev_init": 0.0}, "stdev_init must be positive"),
        ({"popsize": 4, "center_init": np.zeros(3)}, "center_init has shape"),
        ({"popsize": 4, "optimizer_config": {"momentum": 1.0}}, r"in \[0, 1\), not 1"),
        (
            {"popsize": 4, "optimizer_config": {"max_speed": 0.0}},
            "max_speed must be",
        ),
        ({"popsize": 4, "stdev_decay": 0.0}, r"a decay must be in \(0, 1\], not 0.0"),
        ({"popsize": 4, "max_speed_decay": 1.1}, r"in \(0, 1\], not 1.1"),
        ({"popsize": 4, "center_learning_rate": 0.0}, "step_size and max_speed must"),
    ],
)
def test_wrong_arguments_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        PGPE(solution_length=2, **settings)


def test_tell_wants_the_right_number_of_fitnesses():
    pgpe = PGPE(solution_length=2, popsize=4, seed=0)
    with pytest.raises(ValueError, match="4 fitnesses"):
        pgpe.tell([1.0, 2.0])


def test_an_adaptive_population_wants_interactions_and_whole_generations():
    pgpe = PGPE(solution_length=2, popsize=4, num_interactions=100, seed=0)
    with pytest.raises(ValueError, match="needs interactions"):
        pgpe.tell([1.0, 2.0, 3.0, 4.0])
    pgpe.tell([1.0, 2.0, 3.0, 4.0], [1] * 4)
    with pytest.raises(RuntimeError, match="between generations"):
        pgpe.state()


def test_what_tell_refuses_does_not_count():
    pgpe, other = (
        PGPE(solution_length=2, popsize=4, num_interactions=4, seed=0) for _ in range(2)
    )
    fitnesses = [4.0, 3.0, 2.0, 1.0]
    pgpe.ask()
    with pytest.raises(ValueError, match="needs interactions"):
        pgpe.tell(fitnesses[::-1])
    assert pgpe.tell(fitnesses, [1] * 4)
    other.ask()
    assert other.tell(fitnesses, [1] * 4)
    assert pgpe.center.tolist() == other.center.tolist()
    assert pgpe.stdev.tolist() == other.stdev.tolist()


def test_one_solution_has_no_rank_and_a_table_is_no_vector():
    assert centered_ranks([3.0]).tolist() == [0.0]
    with pytest.raises(ValueError, match=r"not of shape \(2, 2\)"):
        centered_ranks(np.zeros((2, 2)))
