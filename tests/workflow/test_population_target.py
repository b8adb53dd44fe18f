"""Populations from their config entries to results, also after a kill."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pgpelib.policies.partners import is_saved
from pgpelib.policies.saving import load_saved
from pgpelib.training.loop import Training
from posggym_es.config.experiments import Experiments
from posggym_es.config.workflow_config import read_config
from posggym_es.evaluation.verification_report import read_verification
from training_runs import results, wait_for
from workspace import Workspace, kill

SMALL = {
    "hidden": [],
    "niters": 3,
    "popsize": 4,
    "popsize_max": None,
    "num_interactions": None,
    "max_episode_length": 10,
    "re_eval_interval": 1,
    "re_eval_num_episodes": 4,
    "save_interval": 1,
}
# Other tests train in the same environments, and share the compiled kernels.
GAME = {**SMALL, "env_name": "posggym:CooperativeReaching-v0"}
ROLES = {**SMALL, "env_name": "posggym:PursuitEvasion-v1", "roles": ["0", "1"]}
# Its solution is a mixture: what one player wins, the other one loses.
ZERO_SUM = {**SMALL, "env_name": "posggym:RockPaperScissors-v0"}
CONFIG = {
    "films": False,
    "experiments": {
        "further": {
            "train": {**GAME, "init_policy": "experiment:answered/sp_seed{seed}@2"},
            "register": {"policy_name": "further"},
        }
    },
    "populations": {
        "alone": {"method": "sp", "train": ROLES},
        "levels": {"method": "klr", "train": GAME, "levels": 1},
        "levels_br": {
            "method": "klr_br",
            "train": ROLES,
            "levels": 1,
            # KLR1_i0 is the name of one of POSGGym's own.
            "register": {"policy_name": "level_{member}"},
        },
        "answered": {
            "method": "sp_br",
            "train": GAME,
            "register": {"policy_name": "other_{member}"},
        },
        "fictitious": {"method": "fcp", "train": {**GAME, "stochastic": True}},
        "oracles": {
            "method": "psro",
            "train": ZERO_SUM,
            "iterations": 2,
            "payoff_episodes": 5,
        },
    },
}
# The runs that come last, of all methods.
LAST = {
    "alone": ["sp_seed0"],
    "levels": ["k1_seed0"],
    "levels_br": ["br_i0_seed0"],
    "answered": ["br_seed0"],
    "oracles": ["it2_seed0"],
    "further": ["seed0"],
}


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory) -> Workspace:
    """A workspace with a population of each method, and the results of one.

    Snakemake was killed while it trained them.
    """
    workspace = Workspace(root, tmp_path_factory.mktemp("populations"), CONFIG)
    targets = [
        f"runs/full/{population}/{run}/metrics.csv"
        for population, runs in LAST.items()
        for run in runs
    ]
    process = workspace.start("results/fictitious", *targets)
    response = workspace.folder / "runs" / "full" / "fictitious" / "br_seed0"
    wait_for(lambda: any(response.glob("run-*/run.json")) or process.poll() is not None)
    kill(process)
    workspace.succeed("results/fictitious", *targets)
    return workspace


@pytest.mark.slow
def test_every_method_trains_against_its_partners(trained):
    def partners(population, run):
        path = trained.folder / "runs" / "full" / population / run / "partners.json"
        return json.loads(path.read_text())

    chance, level = partners("levels_br", "br_i0_seed0")
    assert chance == "Random-v0"
    assert "/levels_br/k1_i1_seed0/policies/" in level
    (agent,) = partners("answered", "br_seed0")
    assert "/answered/sp_seed0/policies/" in agent
    assert sum(partners("fictitious", "br_seed0").values()) == 3
    assert sum(partners("oracles", "it2_seed0").values()) == pytest.approx(1)


@pytest.mark.slow
def test_a_search_starts_from_an_agent_of_a_population(trained):
    folder = trained.folder / "runs" / "full"
    (policy,) = (folder / "answered" / "sp_seed0" / "policies").glob("*_iter2.pickle")
    start = folder / "further" / "seed0" / "start.pickle"
    assert start.read_bytes() == policy.read_bytes()
    (run,) = start.parent.glob("run-*/run.json")
    config = json.loads(run.read_text())["config"]
    assert config["init_policy"] == load_saved(policy).digest


@pytest.mark.slow
def test_a_population_is_registered_like_an_experiment(trained):
    folder = trained.folder / "results" / "fictitious"
    page = (folder / "index.html").read_text()
    assert "CooperativeReaching-v0/size=5/FCP-v0" in page
    assert "CooperativeReaching-v0/size=5/sp_seed0-v0" in page
    load = (
        "import posggym, posggym.agents\n"
        'env = posggym.make("CooperativeReaching-v0")\n'
        'for name in ("sp_seed0", "FCP"):\n'
        '    name = f"CooperativeReaching-v0/size=5/{name}-v0"\n'
        '    print(posggym.agents.make(name, env.model, "0").policy_id)\n'
    )
    assert "FCP" in trained.python("results/fictitious/posggym-tree", load)
    # It can be verified again from there, with all partners.
    report = read_verification(folder / "br_seed0" / "verification.json")
    partners = report["company"]["partners"]
    assert partners
    for name in partners:
        assert is_saved(name)
        assert Path(name).is_file()
        assert Path(name).is_relative_to(folder)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["sp_seed0", "br_seed0"])
def test_a_killed_population_ends_like_one_that_was_not(
    run, trained, tmp_path, monkeypatch
):
    monkeypatch.chdir(trained.folder)
    experiment = Experiments(read_config(CONFIG))["fictitious"]
    config = experiment.training_config(run)
    with Training(config, tmp_path) as training:
        training.run()
    (folder,) = experiment.run_dir(run).glob("run-*")
    assert folder.name == f"run-{config.digest}"
    assert results(folder) == results(tmp_path)


@pytest.mark.slow
def test_another_member_trains_no_other_again(trained):
    levels = {**CONFIG["populations"]["levels"], "levels": 2}
    trained.write({**CONFIG, "experiments": {}, "populations": {"levels": levels}})
    output = trained.succeed("-n", "runs/full/levels/k2_seed0/metrics.csv")
    trained.write(CONFIG)
    started = [line for line in output.splitlines() if "wildcards:" in line]
    assert started
    assert all("run=k2_seed0" in line for line in started)
