"""The whole chain through Snakemake, at a small scale, as a user runs it."""

from __future__ import annotations

import copy
import fcntl
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from checkpoints import save_checkpoint
from hold_locks import hold_and_end
from hosts import git, raw_files
from posggym_es.registration.registry_files import generated_specs
from workspace import CONFIG, Workspace, environment, planned, snapshot

IDS = {
    "LunarLanderContinuous-v2/pgpe_seed0-v0",
    "LunarLanderContinuous-v2/pgpe_seed1-v0",
    "CooperativeReaching-v0/size=5/pgpe_sp-v0",
    "PursuitEvasion-v1/grid=16x16/pgpe_i0-v0",
    "PursuitEvasion-v1/grid=16x16/pgpe_i1-v0",
}


def test_a_second_run_does_nothing(done):
    assert "Nothing to be done" in done.succeed("register_all")


def test_all_agents_are_registered_beside_posggyms_own(done):
    code = (
        "import json, posggym.agents as a, posggym_gymnasium;"
        "print(json.dumps(sorted(a.registry)))"
    )
    ids = set(json.loads(done.python("results/registry/posggym-tree", code)))
    own = set(json.loads(done.python(".", code)))
    assert ids - own == IDS
    assert own <= ids


def test_the_installed_posggym_gets_the_agents_of_a_folder(done):
    """They play as they did when they were verified, in the tree."""
    code = (
        "import json, posggym_es\n"
        "ids = posggym_es.register_agents('results/registry')\n"
        "from pathlib import Path\n"
        "from posggym_es.evaluation.playing import CoPlayers\n"
        "from posggym_es.evaluation.verification import play_verified_episode\n"
        "from posggym_es.evaluation.verification_report import read_verification\n"
        "from posggym_es.registration.spec import AgentSpec\n"
        "for path in Path('results').glob('*/*/verification.json'):\n"
        "    spec = AgentSpec.read(path.with_name('spec.json'))\n"
        "    verified = read_verification(path)\n"
        "    company = CoPlayers(**verified['company'])\n"
        "    seed, expected = verified['seeds'][1], verified['returns'][1]\n"
        "    assert play_verified_episode(spec, company, seed) == expected, spec.id\n"
        "    ids.remove(spec.id)\n"
        "print(ids)"
    )
    assert done.python(".", code) == "[]"


@pytest.mark.parametrize(
    "tree", ["results/registry/posggym-tree", "results/lander/posggym-tree"]
)
def test_the_printed_lines_load_an_agent(done, tree):
    readme = (done.folder / tree).parent / "README.md"
    _, *texts = readme.read_text().split("```python\n")
    blocks = [text.split("```")[0] for text in texts]
    code = next(block for block in blocks if "pgpe_seed0-v0" in block)
    code += "print(policy.policy_id, policy.step(env.reset(seed=0)[0]['0']))"
    assert "pgpe_seed0-v0" in done.python(tree, code)


def test_policy_files_lie_where_posggym_looks(done):
    path = "gymnasium/lunar_lander_continuous/pgpe_seed1.pkl"
    results = done.folder / "results" / "registry"
    models = results / "posggym-agent-models" / "posggym" / "agents" / path
    assets = results / "posggym-tree" / "posggym" / "assets" / "agents" / path
    converted = done.folder / "results" / "lander" / "seed1" / "converted"
    assert models.read_bytes() == assets.read_bytes()
    assert models.read_bytes() == (converted / "policy.pkl").read_bytes()


def test_conversion_and_verification_are_reported(done):
    folders = ["lander/seed0", "lander/seed1", "reaching/seed0"]
    folders += ["pursuit/seed0_0", "pursuit/seed0_1"]
    for folder in folders:
        results = done.folder / "results" / folder
        proof = json.loads((results / "converted" / "conversion.json").read_text())
        assert proof["proof"]["observations"] >= 1000
        verification = json.loads((results / "verification.json").read_text())
        assert verification["passed"]
        assert verification["policy_id"] in IDS
        assert len(verification["returns"]) == len(verification["reference_returns"])
        # The same episodes with random actions in the agent's place, to compare with.
        assert len(verification["random_returns"]) == len(verification["returns"])
        # Some agents of this test stand still whatever they do.
        if folder.startswith("lander"):
            assert verification["random_returns"] != verification["returns"]


def test_agents_of_a_role_are_registered_for_it_and_verified_with_the_other(done):
    for role, other in (("0", "1"), ("1", "0")):
        folder = done.folder / "results" / "pursuit" / f"seed0_{role}"
        spec = json.loads((folder / "spec.json").read_text())
        assert spec["valid_agent_ids"] == [role]
        company = json.loads((folder / "verification.json").read_text())["company"]
        assert company["role"] == role
        assert company["siblings"][other].endswith(f"pgpe_i{other}-v0")


def test_docs_have_the_new_agents(done):
    docs = done.folder / "results" / "registry" / "docs" / "agents"
    pages = {str(p.relative_to(docs)) for p in docs.rglob("*.md")}
    assert pages == {
        "gymnasium/lunar_lander_continuous.md",
        "grid_world/cooperative_reaching.md",
        "grid_world/pursuit_evasion.md",
    }
    page = (docs / "gymnasium" / "lunar_lander_continuous.md").read_text()
    assert "`LunarLanderContinuous-v2/pgpe_seed0-v0`" in page
    assert "A test. PGPE with ClipUp" in page


def test_learning_curves_are_pictures(done):
    png = done.folder / "results" / "lander" / "learning_curve.png"
    assert png.read_bytes().startswith(b"\x89PNG")


def test_editing_one_experiment_redoes_that_one_alone(done, tmp_path):
    config = copy.deepcopy(CONFIG)
    config["experiments"]["reaching"]["train"]["popsize"] = 10
    workspace = done.copy(tmp_path / "copy", config)
    outputs = planned(workspace.succeed("-n", "register_all"))
    assert any("runs/full/reaching/seed0/policies" in o for o in outputs)
    assert not [o for o in outputs if "lander" in o]


def test_editing_a_description_does_not_train_again(done, tmp_path):
    config = copy.deepcopy(CONFIG)
    config["experiments"]["lander"]["register"]["description"] = "Another"
    workspace = done.copy(tmp_path / "copy", config)
    outputs = planned(workspace.succeed("-n", "register_all"))
    assert any("lander/seed0/spec.json" in o for o in outputs)
    assert not [o for o in outputs if "policies" in o or "converted" in o]


@pytest.mark.slow
def test_agents_are_trained_with_agents_of_an_earlier_run(
    root, done, tmp_path, monkeypatch
):
    (partner,) = (i for i in IDS if i.startswith("CooperativeReaching"))
    experiment = copy.deepcopy(CONFIG["experiments"]["reaching"])
    partners = {partner: 1, "CooperativeReaching-v0/H1-v0": 2.5}
    experiment["train"]["partners"] = partners
    experiment["register"]["policy_name"] = "pgpe_br"
    config = {"experiments": {"response": experiment}, "films": False}
    # As the config reference says.
    monkeypatch.setenv("PYTHONPATH", str(done.folder / "results/registry/posggym-tree"))
    workspace = Workspace(root, tmp_path, config)
    workspace.succeed("runs/full/response/seed0/verification.json")
    specs = generated_specs(tmp_path / "runs/full/response/staged/posggym-tree")
    assert [spec.id for spec in specs] == [
        partner.replace("pgpe_sp", "pgpe_br"),
        partner,
    ]
    verification = tmp_path / "runs/full/response/seed0/verification.json"
    assert json.loads(verification.read_text())["passed"]


def test_results_of_one_experiment_need_no_other(root, tmp_path):
    workspace = Workspace(root, tmp_path, CONFIG)
    outputs = planned(workspace.succeed("-n", "results/reaching"))
    assert outputs
    assert not [o for o in outputs if "lander" in o]


def test_a_policy_that_plays_worse_stops_the_chain(root, done, tmp_path):
    spec = done.folder / "runs/full/lander/seed0/spec.json"
    tree = done.folder / "results/lander/posggym-tree"
    extracted = tmp_path / "extracted"
    shutil.copytree(done.folder / "runs/full/lander/seed0/extracted", extracted)
    metadata = json.loads((extracted / "policy.json").read_text())
    # A reference that the policy cannot reach by chance.
    reference = metadata["notes"]["reference"]
    reference["returns"] = [value + 5000 for value in reference["returns"]]
    (extracted / "policy.json").write_text(json.dumps(metadata))
    output = tmp_path / "verification.json"
    command = [sys.executable, root / "workflow/scripts/verify_agent.py"]
    arguments = {
        "--posggym_tree": tree,
        "--spec": spec,
        "--policy_dir": extracted,
        "--output": output,
    }
    result = subprocess.run(
        [*command, *(str(x) for pair in arguments.items() for x in pair)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "LunarLanderContinuous-v2/pgpe_seed0-v0: mean return" in result.stderr
    assert "trained policy" in result.stderr
    assert "Traceback" not in result.stderr
    assert not output.exists()


@pytest.mark.parametrize("view", ["--dag", "--rulegraph", "--summary"])
def test_snakemakes_own_views_work(done, view):
    assert done.succeed("register_all", view)


def everything(folder: Path) -> dict[str, int]:
    """Return all files and folders with their times, without Snakemake's own."""
    return {
        str(path.relative_to(folder)): path.lstat().st_mtime_ns
        for path in folder.rglob("*")
        if ".snakemake" not in path.relative_to(folder).parts
    }


@pytest.mark.parametrize(
    "arguments", [["-n", "--forceall"], ["--lint"], ["--list-rules"], ["--dag"]]
)
def test_views_write_and_delete_nothing(root, tmp_path, arguments):
    workspace = Workspace(root, tmp_path, CONFIG)
    run = tmp_path / "runs/full/lander/seed0"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text("of an earlier run\n")
    # Also the lock of a run that is dead: that is for runs to remove.
    lock = tmp_path / ".snakemake/locks/0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("runs/full/lander/seed0/metrics.csv\n")
    hold_and_end(tmp_path / ".snakemake")
    records = snapshot(tmp_path / ".snakemake/posggym-es-locks")
    before = everything(tmp_path)
    workspace.succeed(*arguments)
    assert everything(tmp_path) == before
    assert lock.exists()
    assert snapshot(tmp_path / ".snakemake/posggym-es-locks") == records


def test_lint_is_content(root):
    result = subprocess.run(
        ["snakemake", "--lint"],
        cwd=root,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Congratulations" in result.stdout + result.stderr


def test_config_mistakes_are_named_before_anything_runs(root, tmp_path):
    config = copy.deepcopy(CONFIG)
    config["experiments"]["lander"]["train"]["popsiez"] = 3
    config["experiments"]["reaching"]["checkpoint"] = "lastest"
    result = Workspace(root, tmp_path, config).snakemake("-n")
    assert result.returncode != 0
    output = result.stdout + result.stderr
    assert (
        "config/config.yaml: experiments.lander.train: unknown key 'popsiez'; did you "
        "mean 'popsize'?"
    ) in output
    assert (
        "config/config.yaml: experiments.reaching.checkpoint must be 'latest' or "
        "'best' with train, not 'lastest'; did you mean 'latest'?"
    ) in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("target", "closest"),
    [
        ("registr_all", "register_all"),
        ("results/landr", "results/lander"),
        ("publsih", "publish"),
    ],
)
def test_the_closest_target_is_proposed(root, tmp_path, target, closest):
    result = Workspace(root, tmp_path, CONFIG).snakemake("-n", target)
    assert result.returncode != 0
    message = f"unknown target '{target}'; did you mean {closest}?"
    assert message in result.stdout + result.stderr


def test_values_of_the_command_line_are_read_as_in_yaml(root, tmp_path):
    workspace = Workspace(root, tmp_path, CONFIG)
    values = ["films=false", "crossplay={episodes: 4}", "only=lander"]
    output = workspace.succeed("-n", "register_all", "--config", *values)
    assert "rule film:" not in output
    assert "rule train:" in output


def test_a_config_of_ones_own_adds_to_the_repositorys_or_replaces_it(root, tmp_path):
    workspace = Workspace(root, tmp_path, CONFIG)
    experiment = copy.deepcopy(CONFIG["experiments"]["reaching"])
    experiment["register"]["policy_name"] = "mine"
    mine = {"experiments": {"mine": experiment}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(mine))
    arguments = ["--configfile", "mine.yaml", "--config", "films=false"]

    def experiments():
        _, _, text = workspace.succeed("help", *arguments).partition("Experiments: ")
        return set(text.splitlines()[0].split(", "))

    assert experiments() == {"mine", *CONFIG["experiments"]}
    arguments += ["--replace-workflow-config"]
    assert experiments() == {"mine"}
    rows = [
        line.split() for line in workspace.succeed("status", *arguments).splitlines()
    ]
    assert ["mine", "seed0", "waiting"] in [row[:3] for row in rows]
    assert not [row for row in rows if row[:1] == ["lander"]]


def test_results_of_scales_lie_apart(root, tmp_path):
    config = {**CONFIG, "scales": {"smoke": {"niters": 1}}}
    workspace = Workspace(root, tmp_path, config)
    outputs = planned(
        workspace.succeed("-n", "register_all", "--config", "scale=smoke")
    )
    places = {output.split(", ")[0] for output in outputs}
    assert "results/smoke/lander" in places
    assert "results/smoke/registry" in places
    assert not [
        place
        for place in places
        if not place.startswith(("runs/smoke/", "results/smoke"))
    ]


def test_rehearsals_are_not_published(root, tmp_path):
    repositories = {"posggym_repo": "a", "agent_models_repo": "b"}
    config = {**CONFIG, **repositories, "scales": {"smoke": {"niters": 1}}}
    result = Workspace(root, tmp_path, config).snakemake(
        "-n", "publish", "--config", "scale=smoke"
    )
    assert result.returncode != 0
    assert "publish: scale smoke is a rehearsal" in result.stdout + result.stderr


def test_one_experiment_leaves_the_agents_of_others_in_the_registry(done, tmp_path):
    config = copy.deepcopy(CONFIG)
    # Shell syntax in the config stays text.
    text = 'It\'s $(touch pwned1) `touch pwned2`; touch pwned3 && "touch" {pwned}'
    config["experiments"]["reaching"]["register"]["description"] = text
    config["films"] = False
    workspace = done.copy(tmp_path / "copy", config)
    output = workspace.succeed("register_all", "--config", "only=reaching")
    assert "rule train:" not in output
    assert not list(workspace.folder.rglob("pwned*"))
    spec = workspace.folder / "runs/full/reaching/seed0/spec.json"
    assert json.loads(spec.read_text())["description"].startswith(text)
    specs = generated_specs(workspace.folder / "results/registry/posggym-tree")
    assert {spec.id for spec in specs} == IDS
    again = workspace.succeed("register_all", "--config", "only=reaching")
    assert "Nothing to be done" in again


def test_crossplay_without_posggym_environments_says_so(root, tmp_path):
    workspace = Workspace(root, tmp_path, CONFIG)
    result = workspace.snakemake("-n", "crossplay", "--config", "only=lander")
    assert result.returncode != 0
    message = "crossplay: no experiment uses a POSGGym environment: lander"
    assert message in result.stdout + result.stderr


def test_contradictions_name_file_and_key(root, tmp_path):
    result = Workspace(root, tmp_path, {**CONFIG, "scale": "tiny"}).snakemake("-n")
    assert result.returncode != 0
    message = "config/config.yaml: scale must be one of full, not 'tiny'"
    assert message in result.stdout + result.stderr


def test_training_that_fails_is_not_taken_for_training(root, tmp_path):
    """Even where an earlier attempt has left policies."""
    config = {"experiments": {"lander": copy.deepcopy(CONFIG["experiments"]["lander"])}}
    config["experiments"]["lander"]["seeds"] = [0]
    workspace = Workspace(root, tmp_path, config)
    target = "runs/full/lander/seed0/metrics.csv"
    workspace.succeed(target)
    (run,) = (tmp_path / "runs/full/lander/seed0").glob("run-*")
    config["experiments"]["lander"]["train"]["niters"] = 4
    workspace.write(config)
    with (run / "lock").open("wb") as lock:
        # Another process trains there, as far as the trainer can see.
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = workspace.snakemake(target)
    assert result.returncode != 0
    assert "another process is training here" in result.stdout + result.stderr
    assert not (tmp_path / target).exists()
    workspace.succeed(target)
    assert len((tmp_path / target).read_text().splitlines()) == 5


def test_the_shipped_config_plans_every_experiment(root, tmp_path):
    config = yaml.safe_load((root / "config" / "config.yaml").read_text())
    workspace = Workspace(root, tmp_path, config)
    outputs = planned(workspace.succeed("-n", "--config", "scale=smoke"))
    for name in config["experiments"]:
        assert f"results/smoke/{name}" in outputs


def test_ids_of_posggyms_own_are_not_overridden(root, done, tmp_path):
    spec = json.loads((done.folder / "runs/full/reaching/seed0/spec.json").read_text())
    spec |= {
        "env_id": "Driving-v1",
        "env_args": None,
        "env_args_id": None,
        "folder": None,
        "policy_sha256": None,
        "env_name": "driving",
        "policy_name": "A0Shortestpath",
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    folder = tmp_path / "assets/posggym/assets/agents/grid_world/driving"
    folder.mkdir(parents=True)
    (folder / "A0Shortestpath.pkl").touch()
    script = root / "workflow" / "scripts" / "generate_registry.py"
    arguments = ["--specs", "spec.json", "--assets_root", "assets", "--output", "tree"]
    result = subprocess.run(
        [sys.executable, script, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert (
        "Driving-v1/A0Shortestpath-v0 is already the id of one of posggym's own"
        in result.stderr
    )
    assert "version 1" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["assets", "spec.json"]


SCRIPTS = sorted((Path(__file__).parents[2] / "workflow/scripts").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_script_explains_itself(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "usage" in shown.lower()
    if script.name != "train.py":
        assert "Examples" in shown


def test_a_published_policy_is_registered_and_plays_as_in_the_paper(
    root, published_humanoid, tmp_path
):
    config = {
        "experiments": {
            "published": {
                "policy_file": str(published_humanoid),
                "verify_episodes": 2,
                "register": {"policy_name": "clipup_paper"},
            }
        },
        "films": False,
    }
    workspace = Workspace(root, tmp_path, config)
    agent = tmp_path / "runs/full/published/seed0"
    workspace.succeed(agent.relative_to(tmp_path) / "verification.json")
    verification = json.loads((agent / "verification.json").read_text())
    assert verification["policy_id"] == "HumanoidBulletEnv-v0/clipup_paper-v0"
    assert verification["lengths"] == [1000] * 2
    assert verification["mean_return"] >= 4800
    proof = json.loads((agent / "converted/conversion.json").read_text())["proof"]
    assert proof["max_difference"] <= 1e-5


def test_checkpoints_of_the_ppo_baselines_go_through_the_chain(root, tmp_path):
    save_checkpoint(tmp_path / "checkpoints", 999, "a", seed=1)
    save_checkpoint(tmp_path / "checkpoints", 1000, "a", seed=2)
    save_checkpoint(tmp_path / "checkpoints", 7, "b", layers=0)
    config = {
        "experiments": {
            "baselines": {
                "checkpoint_dir": "checkpoints",
                "verify_episodes": 4,
                "register": {"policy_name": "ppo_{policy_id}"},
            }
        },
        "films": False,
    }
    workspace = Workspace(root, tmp_path, config)
    workspace.succeed("results/baselines")
    results = tmp_path / "results" / "baselines"
    for policy_id in "ab":
        verification = json.loads(
            (results / policy_id / "verification.json").read_text()
        )
        assert verification["passed"]
        assert verification["policy_id"].endswith(f"/ppo_{policy_id}-v0")
    spec = json.loads((results / "a" / "spec.json").read_text())
    assert spec["description"].startswith("PPO, 1,234 steps, mean return")
    extracted = json.loads((results / "a" / "extracted" / "policy.json").read_text())
    assert extracted["notes"]["update"] == 1000


def test_agents_go_to_repositories_and_come_out_again(done, hosts, tmp_path):
    config = {
        **CONFIG,
        "posggym_repo": str(hosts / "posggym"),
        "agent_models_repo": str(hosts / "models"),
        "branch": "agents",
    }
    workspace = done.copy(tmp_path / "copy", config)
    workspace.succeed("register_all")
    report = workspace.folder / "runs" / "full" / "registry" / "registered.json"
    assert set(json.loads(report.read_text())["added"]) == IDS
    assert "Nothing to be done" in workspace.succeed("register_all")
    # Nothing was pushed: that is only done when asked for.
    assert git(hosts / "models", "branch", "--list", "agents") == ""

    policy = "LunarLanderContinuous-v2/pgpe_seed1-v0"
    workspace.succeed("unregister", "--config", f"policy={policy}")
    # Asked for again, it acts again.
    again = workspace.snakemake("unregister", "--config", f"policy={policy}")
    assert again.returncode != 0
    assert "Nothing to be done" not in again.stdout + again.stderr
    clone = workspace.folder / "runs" / "full" / "repositories" / "agent-models"
    git(clone, "push", "--quiet", "origin", "agents")
    with raw_files(hosts / "models", tmp_path / "served", "agents") as url:
        output = workspace.succeed("publish", "--config", f"agent_models_url={url}")
    for policy_id in IDS:
        expected = policy_id != policy
        assert (f"downloaded and played: {policy_id}" in output) == expected


def test_publishing_without_repositories_says_what_is_missing(done):
    result = done.snakemake("publish")
    assert result.returncode != 0
    assert "needs posggym_repo and agent_models_repo" in result.stdout + result.stderr
