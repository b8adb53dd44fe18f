"""Agents of a folder, registered with the installed posggym at run time."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import subprocess
import sys

import posggym
import posggym.agents
import pytest

import posggym_es
from agent_folders import make_agent
from messages import exactly
from pgpelib.utils.files import write_json
from posggym_es.agents.folders import policy_file_of
from posggym_es.agents.manifest import MANIFEST_FILE, write_manifest
from posggym_es.commands.finding import find_agents
from posggym_es.evaluation.films import FilmError, record
from posggym_es.policies.reference_agents import DeterministicAgent
from posggym_es.registration.environments import env_of
from posggym_es.registration.spec import SPEC_FILE

UAV = "UAV-v0/grid=5/pgpe_i1-v0"


@pytest.fixture
def forgotten():
    """Forget what a test registers."""
    before = dict(posggym.agents.registry)
    yield
    posggym.agents.registry.clear()
    posggym.agents.registry.update(before)


@pytest.mark.usefixtures("forgotten")
def test_registered_agents_act_as_the_policies_that_were_converted(tmp_path):
    _, policy = make_agent(
        tmp_path / "deep/below", "posggym:UAV-v0", "pgpe_i1", "1", valid_agent_ids=["1"]
    )
    assert posggym_es.register_agents(tmp_path) == [UAV]
    env = posggym.make("UAV-v0")
    agent = posggym.agents.make(UAV, env.model, "1")
    assert agent.spec.id == UAV
    original = DeterministicAgent(policy, env.model, "1")
    for seed in range(20):
        observations, _ = env.reset(seed=seed)
        original.reset(seed=seed)
        agent.reset(seed=seed)
        assert agent.step(observations["1"]) == original.step(observations["1"])
    with pytest.raises(posggym.error.Error, match="invalid agent ID '0'"):
        posggym.agents.make(UAV, env.model, "0")


@pytest.mark.usefixtures("forgotten")
def test_agents_of_gymnasium_tasks_are_registered_the_same_way(tmp_path):
    make_agent(tmp_path / "agent", "CartPole-v1", "pgpe")
    (name,) = posggym_es.register_agents(str(tmp_path))
    env = posggym.make("CartPole-v1")
    agent = posggym.agents.make(name, env.model, "0")
    observations, _ = env.reset(seed=0)
    assert agent.step(observations["0"]) in (0, 1)


@pytest.mark.usefixtures("forgotten")
def test_environments_without_images_have_no_film(tmp_path):
    spec, _ = make_agent(tmp_path, "posggym:MultiAccessBroadcastChannel-v0", "pgpe")
    posggym_es.register_agents(tmp_path)
    verification = {"seeds": [0], "returns": [0.0], "lengths": [5], "company": {}}
    with pytest.raises(FilmError, match="MultiAccessBroadcastChannel-v0 has no images"):
        record(spec, verification)


@pytest.mark.usefixtures("forgotten")
def test_the_same_agent_may_be_registered_again_but_no_other_under_its_id(tmp_path):
    make_agent(tmp_path / "a/agent", "posggym:UAV-v0", "pgpe")
    make_agent(tmp_path / "copy/agent", "posggym:UAV-v0", "pgpe")
    make_agent(tmp_path / "b/a_new_one", "posggym:UAV-v0", "another")
    make_agent(tmp_path / "b/agent", "posggym:UAV-v0", "pgpe", seed=1)
    ids = posggym_es.register_agents(tmp_path / "a")
    registered = dict(posggym.agents.registry)
    assert posggym_es.register_agents(tmp_path / "a") == ids
    assert posggym_es.register_agents(tmp_path / "copy") == ids
    message = (
        f"{policy_file_of(tmp_path / 'b/agent')}: UAV-v0/grid=5/pgpe-v0 is already "
        f"the id of a different agent ({policy_file_of(tmp_path / 'a/agent')}); "
        "register this one as version 1, or in a process of its own"
    )
    with pytest.raises(ValueError, match=exactly(message)):
        posggym_es.register_agents(tmp_path / "b")
    assert dict(posggym.agents.registry) == registered
    # Two folders below the same one contradict each other as well.
    with pytest.raises(ValueError, match="is already the id of a different agent"):
        posggym_es.register_agents(tmp_path)


@pytest.mark.usefixtures("forgotten")
def test_posggyms_own_agents_are_not_replaced(tmp_path):
    name = "Driving-v1/A40Shortestpath-v0"
    spec, _ = make_agent(tmp_path / "agent", "posggym:Driving-v1", "A40Shortestpath")
    spec = dataclasses.replace(spec, env_args=None, env_args_id=None, folder=None)
    write_json(tmp_path / "agent" / SPEC_FILE, spec.to_json())
    own = posggym.agents.registry[name]
    with pytest.raises(ValueError, match="is already the id of a different agent"):
        posggym_es.register_agents(tmp_path)
    assert posggym.agents.registry[name] is own


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize(
    ("claimed", "message"),
    [
        ("of the right file", "not the policy that was proved for UAV-v0"),
        ("of the wrong file", "not a policy file"),
    ],
)
def test_files_are_checked_before_they_are_loaded(tmp_path, claimed, message):
    spec, _ = make_agent(tmp_path / "agent", "posggym:UAV-v0", "pgpe")
    # POSGGym's own loader would do what such a file says.
    attack = b"cos\nmkdir\n(S'" + str(tmp_path / "pwned").encode() + b"'\ntR."
    if claimed == "of the wrong file":
        digest = hashlib.sha256(attack).hexdigest()
        spec = dataclasses.replace(spec, policy_sha256=digest)
        write_json(tmp_path / "agent" / SPEC_FILE, spec.to_json())
    policy_file_of(tmp_path / "agent").write_bytes(attack)
    posggym_es.register_agents(tmp_path)
    env = posggym.make("UAV-v0")
    with pytest.raises(ValueError, match=message):
        posggym.agents.make(spec.id, env.model, "0")
    assert not (tmp_path / "pwned").exists()


def test_folders_without_agents_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no agents found; name a folder such as"):
        posggym_es.register_agents(tmp_path)
    spec, _ = make_agent(tmp_path / "agent", "posggym:UAV-v0", "pgpe")
    policy_file_of(tmp_path / "agent").unlink()
    message = f"no such file; it is the policy of {spec.id}"
    with pytest.raises(ValueError, match=message):
        posggym_es.register_agents(tmp_path)
    (tmp_path / "agent" / SPEC_FILE).write_text("{}")
    with pytest.raises(ValueError, match=r"spec\.json: not the spec of an agent"):
        posggym_es.register_agents(tmp_path)


def models_repository(root):
    """Write a models repository with an agent; return its spec."""
    spec, _ = make_agent(root / "made", "posggym:UAV-v0", "pgpe")
    target = root / "posggym/agents" / spec.asset
    target.parent.mkdir(parents=True)
    shutil.copyfile(policy_file_of(root / "made"), target)
    shutil.rmtree(root / "made")
    write_manifest(root, [spec])
    return spec


@pytest.mark.usefixtures("forgotten")
def test_a_models_repository_has_a_list_of_its_agents(tmp_path):
    spec = models_repository(tmp_path)
    assert posggym_es.register_agents(tmp_path) == [spec.id]
    assert [found.spec.id for found in find_agents(str(tmp_path))] == [spec.id]
    posggym.agents.make(spec.id, posggym.make("UAV-v0").model, "0")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy_sha256": None}, "posggym-es.json: not a list of agents: .*sha256"),
        ({"policy_name": "../../x"}, "posggym-es.json: not a list of agents"),
        ({"policy_name": "absent"}, "absent.pkl: no such file; it is the policy of"),
    ],
)
def test_damaged_lists_of_agents_are_refused(tmp_path, change, message):
    spec = models_repository(tmp_path)
    entry = {**spec.to_json(), **change}
    write_json(tmp_path / MANIFEST_FILE, {"agents": [entry]})
    with pytest.raises(ValueError, match=message):
        posggym_es.register_agents(tmp_path)


def test_without_agents_there_is_no_list(tmp_path):
    spec = models_repository(tmp_path)
    (tmp_path / "posggym/agents" / spec.asset).unlink()
    write_manifest(tmp_path, [spec])
    assert not (tmp_path / MANIFEST_FILE).exists()


@pytest.mark.usefixtures("forgotten")
def test_agents_registered_at_run_time_give_no_names_to_new_ones(tmp_path):
    make_agent(
        tmp_path / "agent", "posggym:UAV-v0", "pgpe", env_args_id="a_name_of_its_own"
    )
    posggym_es.register_agents(tmp_path)
    assert env_of("posggym:UAV-v0", {}).env_args_id is None


@pytest.mark.slow
def test_loading_needs_neither_trainer_nor_snakemake(tmp_path):
    make_agent(tmp_path, "posggym:UAV-v0", "pgpe")
    code = (
        "import sys, posggym, posggym_es;"
        "(name,) = posggym_es.register_agents(sys.argv[1]);"
        "env = posggym.make('UAV-v0');"
        "posggym.agents.make(name, env.model, '0');"
        "print({m.partition('.')[0] for m in sys.modules} &"
        "  {'snakemake', 'numba', 'sacred', 'scipy', 'pandas', 'pybullet', 'Box2D'})"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == "set()", run.stderr
