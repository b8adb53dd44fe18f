"""Populations: what their entries expand to, and how psro mixes policies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pgpelib.policies.metadata import PolicyMetadata
from pgpelib.policies.policy import ActionSpec, SavedPolicy
from pgpelib.policies.saving import save_policy
from pgpelib.utils.settings import SettingsError
from posggym_es.config.experiments import Experiments
from posggym_es.config.workflow_config import read_config
from posggym_es.evaluation.checkpoints import checkpoint_file
from posggym_es.evaluation.meta_strategies import mixture, nash
from posggym_es.evaluation.payoffs import Variant

SYMMETRIC = {"env_name": "posggym:Driving-v1", "niters": 9}
ROLES = {"env_name": "posggym:TwoPaths-v0", "roles": ["0", "1"]}


def experiments_with(population, **others):
    return Experiments(read_config({"populations": {"pop": population}, **others}))


def partners_in(population, **others):
    """Return the partners of every run, as a short text each."""
    experiments = experiments_with(population, **others)
    return {
        run: [
            each.name or f"{each.run_dir.rpartition('/')[2]}@{each.checkpoint}"
            for each in experiments.partners_of("pop", run)
        ]
        for run in experiments["pop"].runs
    }


def names_in(population):
    population = experiments_with(population)["pop"]
    return [
        population.registration(label)["policy_name"] for label in population.agents
    ]


def test_self_play_agents_are_independent():
    entry = {"method": "sp", "train": SYMMETRIC, "seeds": [0, 3]}
    assert partners_in(entry) == {"sp_seed0": [], "sp_seed3": []}
    assert names_in(entry) == ["sp_seed0", "sp_seed3"]
    assert names_in({**entry, "train": ROLES, "seeds": [1]}) == [
        "sp_seed1_i0",
        "sp_seed1_i1",
    ]


def test_each_level_answers_the_one_before():
    entry = {"method": "klr_br", "train": SYMMETRIC, "levels": 2, "checkpoint": "best"}
    assert partners_in(entry) == {
        "k1_seed0": ["Random-v0"],
        "k2_seed0": ["k1_seed0@best"],
        "br_seed0": ["Random-v0", "k1_seed0@best", "k2_seed0@best"],
    }
    assert names_in(entry) == ["KLR1", "KLR2", "KLRBR"]
    assert list(partners_in({**entry, "method": "klr"})) == ["k1_seed0", "k2_seed0"]


def test_roles_have_best_responses_of_their_own():
    entry = {"method": "klr", "train": ROLES, "levels": 2, "seeds": [0, 1]}
    experiments = experiments_with(entry)
    population = experiments["pop"]
    assert population.runs["k2_i1_seed1"].train.roles == ("1",)
    assert partners_in(entry)["k2_i1_seed1"] == [
        "k1_i0_seed1@latest",
        "k1_i1_seed1@latest",
    ]
    registered = population.registration("k2_i1_seed1")
    assert registered["policy_name"] == "KLR2_seed1_i1"
    assert registered["valid_agent_ids"] == ["1"]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("sp_br", ["sp_seed0@latest", "sp_seed1@latest"]),
        (
            "fcp",
            [
                "sp_seed0@initial",
                "sp_seed0@final",
                "sp_seed1@initial",
                "sp_seed1@final",
            ],
        ),
    ],
)
def test_a_best_response_answers_all_self_play_agents(method, expected):
    entry = {
        "method": method,
        "train": SYMMETRIC,
        "best_response": {"niters": 20},
        "seeds": [0, 1],
        "response_seeds": [7],
        "checkpoints": ["initial", "final"],
    }
    assert partners_in(entry)["br_seed7"] == expected
    population = experiments_with(entry)["pop"]
    assert population.runs["br_seed7"].train.niters == 20
    assert population.runs["sp_seed0"].train.niters == 9
    assert names_in(entry)[-1] == {"sp_br": "SPBR", "fcp": "FCP"}[method]


def test_each_iteration_answers_all_before():
    entry = {"method": "psro", "train": SYMMETRIC, "iterations": 3}
    assert partners_in(entry) == {
        "it1_seed0": ["Random-v0"],
        "it2_seed0": ["Random-v0", "it1_seed0@latest"],
        "it3_seed0": ["Random-v0", "it1_seed0@latest", "it2_seed0@latest"],
    }


def test_another_member_changes_no_other():
    def settings(**changes):
        entry = {"method": "klr", "train": SYMMETRIC, "levels": 2, **changes}
        population = experiments_with(entry)["pop"]
        return {run: population.training_config(run) for run in population.runs}

    before = settings()
    for after in (settings(levels=3), settings(seeds=[0, 1])):
        assert len(after) > len(before)
        assert before.items() <= after.items()


def test_scales_limit_all_members():
    entry = {"method": "psro", "train": SYMMETRIC, "best_response": {"popsize": 400}}
    limits = {"niters": 2, "popsize": 8, "re_eval_num_episodes": 3}
    experiments = experiments_with(entry, scales={"smoke": limits}, scale="smoke")
    population = experiments["pop"]
    assert population.settings.payoff_episodes == 3
    for run in population.runs:
        config = population.training_config(run)
        assert (config.niters, config.popsize) == (2, 8)


def test_experiments_can_answer_agents_of_others():
    experiments = {
        "answer": {
            "train": {
                **SYMMETRIC,
                "partners": {"experiment:pop/sp_seed{seed}@3": 2, "experiment:pop": 1},
            },
            "seeds": [1],
            "register": {"policy_name": "answer"},
        }
    }
    entry = {"method": "sp", "train": SYMMETRIC, "seeds": [0, 1]}
    config = {"populations": {"pop": entry}, "experiments": experiments}
    found = Experiments(read_config(config)).partners_of("answer", "seed1")
    assert [(each.weight, each.run_dir[-8:], each.checkpoint) for each in found] == [
        (2, "sp_seed1", "3"),
        (1, "sp_seed0", "latest"),
        (1, "sp_seed1", "latest"),
    ]


def answering(partner, **others):
    train = {**SYMMETRIC, "partners": [partner]}
    return {"train": train, "register": {"policy_name": "x"}} | others


def starting(policy, **others):
    train = {**SYMMETRIC, "init_policy": policy}
    return {"train": train, "register": {"policy_name": "x"}} | others


def test_a_search_starts_from_the_agent_of_its_seed():
    experiments = {
        "a": starting("experiment:b/seed{seed}@best", seeds=[1]),
        "b": starting(None, seeds=[0, 1], register={"policy_name": "y_seed{seed}"}),
    }
    found = Experiments(read_config({"experiments": experiments}))
    start = found.start_of("a", "seed1")
    assert (start.run_dir[-7:], start.checkpoint) == ("b/seed1", "best")
    assert found.start_of("b", "seed1") is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"populations": {"pop": {"method": "klrbr", "train": SYMMETRIC}}},
            "populations.pop.method must be 'sp', .*, not 'klrbr'; did you mean 'klr",
        ),
        (
            {"populations": {"pop": {"method": "sp", "train": {"env_name": "X-v0"}}}},
            "populations.pop.train.env_name must be a POSGGym environment",
        ),
        (
            {
                "populations": {
                    "pop": {
                        "method": "klr",
                        "train": SYMMETRIC,
                        "best_response": {"nitres": 3},
                    }
                }
            },
            "populations.pop.best_response .*'nitres'; did you mean 'niters'",
        ),
        (
            {
                "populations": {
                    "pop": {
                        "method": "sp",
                        "train": SYMMETRIC,
                        "register": {"policy_name": "x"},
                    }
                }
            },
            "populations.pop.register.policy_name must contain {member}",
        ),
        (
            {"experiments": {"a": answering("experiment:b")}},
            "experiments.a.train.partners: 'experiment:b': there is no experiment 'b'",
        ),
        (
            {"experiments": {"a": answering("experiment:a/sed0")}},
            "a has no agent 'sed0'; did you mean 'seed0'",
        ),
        (
            {
                "experiments": {
                    "a": answering("experiment:b"),
                    "b": {
                        "policy_file": "x.pickle",
                        "register": {"policy_name": "y"},
                    },
                }
            },
            "b trains no policies; name a policy file instead",
        ),
        (
            {
                "experiments": {
                    "a": answering("experiment:b"),
                    "b": answering("experiment:a", register={"policy_name": "y"}),
                }
            },
            "would wait for each other",
        ),
        (
            {"experiments": {"a": starting("experiment:a/seed0")}},
            "but a/seed0 would wait for each other",
        ),
        (
            {"experiments": {"a": starting("experiment:b/seed0")}},
            "a.train.init_policy: 'experiment:b/seed0': there is no experiment 'b'",
        ),
        (
            {
                "experiments": {
                    "a": starting("experiment:b"),
                    "b": starting(
                        None, seeds=[0, 1], register={"policy_name": "y_seed{seed}"}
                    ),
                }
            },
            "'experiment:b' names 2 agents; name one, such as experiment:b/seed{seed}",
        ),
    ],
)
def test_mistakes_are_named(config, message):
    with pytest.raises(SettingsError, match=message):
        Experiments(read_config(config))


def test_rock_paper_scissors_is_played_with_thirds():
    payoffs = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    for strategy in nash(payoffs):
        assert strategy == pytest.approx([1 / 3] * 3, abs=1e-6)


def test_dominated_strategies_are_not_played():
    row, column = nash(np.array([[3.0, 2], [1, 0]]))
    assert row.tolist() == [1, 0]
    assert column.tolist() == [0, 1]


@given(
    st.tuples(st.integers(1, 4), st.integers(1, 4)).flatmap(
        lambda shape: arrays(float, shape, elements=st.integers(-5, 5))
    )
)
def test_no_strategy_does_better_than_a_nash_equilibrium(payoffs):
    row, column = nash(payoffs)
    value = row @ payoffs @ column
    assert (payoffs @ column).max() <= value + 1e-4
    assert (row @ payoffs).min() >= value - 1e-4
    assert row.sum() == pytest.approx(1)
    assert column.sum() == pytest.approx(1)


def saved(folder, generation, action, returns=None):
    """Save a policy that always takes one action of three."""
    policy = SavedPolicy(
        layers=[(np.zeros((3, 3)), np.eye(3)[action])],
        activation="tanh",
        obs_mean=None,
        obs_stdev=None,
        action=ActionSpec("discrete", n=3),
        env_name="posggym:RockPaperScissors-v0",
        env_config={},
        obs_processor=("FlattenProcessor", {}),
        metadata=PolicyMetadata(generation=generation, re_eval_returns=returns),
    )
    path = folder / f"iter{generation}.pickle"
    save_policy(policy, path)
    return path


GAME = Variant("RockPaperScissors-v0", {})


def test_psro_mixes_by_the_game_between_the_policies(tmp_path):
    paths = [str(saved(tmp_path, n, n)) for n in range(3)]
    weights = mixture(GAME, paths, None, 2, 5)
    assert list(weights) == paths
    assert list(weights.values()) == pytest.approx([1 / 3] * 3, abs=1e-6)
    # Each of two policies beats or is beaten by the other.
    assert len(mixture(GAME, paths[:2], None, 2, 5)) == 1


def test_psro_mixes_equally_where_agents_work_together():
    partners = ["CooperativeReaching-v0/H1-v0", "Random-v0"]
    weights = mixture(Variant("CooperativeReaching-v0", {}), partners, None, 3)
    assert weights == dict.fromkeys(partners, 1.0)


def test_checkpoints_are_chosen_by_their_progress(tmp_path):
    for generation, value in ((1, 0.0), (2, 0.1), (3, 0.6), (40, 1.0)):
        saved(tmp_path, generation, 0, [value])

    def chosen(checkpoint):
        return checkpoint_file(tmp_path, None, checkpoint).stem

    assert chosen("initial") == "iter1"
    assert chosen("middle") == "iter3"
    assert chosen("final") == chosen("latest") == "iter40"
    assert chosen("2") == "iter2"
    with pytest.raises(ValueError, match="no policy of generation 7; there are .* 40"):
        chosen("7")


def test_without_returns_the_middle_is_that_of_the_generations(tmp_path):
    for generation in (1, 2, 21, 40):
        saved(tmp_path, generation, 0)
    assert checkpoint_file(tmp_path, None, "middle").stem == "iter21"
