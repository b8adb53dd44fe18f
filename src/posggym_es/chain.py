"""The steps of the chain as plain Python calls, for work without Snakemake."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pgpelib.utils.files import read_json
from posggym_es.conversion.folders import convert_folder
from posggym_es.conversion.report import MODEL_NAME, read_conversion
from posggym_es.evaluation.reference_returns import ppo_with_reference, with_reference
from posggym_es.policies.policy_checks import check_modules
from posggym_es.policies.policy_file import (
    partners_of,
    read_policy,
    write_policy,
    write_ppo_policy,
)
from posggym_es.policies.ppo_checkpoints import load_checkpoint
from posggym_es.policies.selection import is_chosen_by_re_evaluation, pick_policy
from posggym_es.registration.posggym_trees import make_tree
from posggym_es.registration.spec import AgentSpec
from posggym_es.registration.spec_making import agent_spec
from posggym_es.registration.staging import stage_assets
from posggym_es.utils.fresh_process import FreshProcessError, run_with_tree


def extract(
    source: str | Path,
    output_dir: str | Path,
    checkpoint: str = "latest",
    episodes: int = 16,
    role: str | None = None,
    on_episode: Callable[[int], None] | None = None,
    env_modules: Collection[str] = (),
) -> list[float]:
    """Write a saved policy in a safe format, with the returns to verify it by.

    Parameters
    ----------
    source
        A `.pickle` policy, a folder of them, or a `.pt` checkpoint of the PPO
        baselines.
    output_dir
        Gets `policy.safetensors` and `policy.json`.
    checkpoint, role
        Which policy of a folder, see `posggym_es.policies.selection.pick_policy`.
    episodes
        Episodes to play when the trainer's re-evaluation cannot be used.
    on_episode
        Called with the number of episodes played so far.
    env_modules
        Modules that the policy's environment may be in, see
        `posggym_es.policies.policy_checks.check_modules`.

    Returns
    -------
    list of float
        The returns that verification compares with.

    Raises
    ------
    ValueError
        If there is no policy, or it cannot be used; the message names the file.
    """
    source, output_dir = Path(source), Path(output_dir)
    if source.suffix == ".pt":
        ppo_policy = ppo_with_reference(
            load_checkpoint(source), _origin(source), episodes, role, on_episode
        )
        write_ppo_policy(ppo_policy, output_dir)
        notes = ppo_policy.notes
    else:
        path, policy = pick_policy(source, checkpoint, role)
        try:
            check_modules(policy, env_modules)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        fresh = is_chosen_by_re_evaluation(policy, checkpoint)
        policy = with_reference(policy, _origin(path), episodes, fresh, on_episode)
        write_policy(policy, output_dir)
        notes = policy.notes
    return list(notes["reference"]["returns"])


def _origin(path: Path) -> dict[str, str]:
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def convert(checkpoint_dir: str | Path, output_dir: str | Path) -> dict[str, Any]:
    """Convert the policies of a folder to POSGGym's format, and prove it.

    Returns
    -------
    dict
        The report of each policy file written, by its path; see
        `posggym_es.conversion.folders.convert_folder`, also for errors.
    """
    reports = convert_folder(Path(checkpoint_dir), Path(output_dir))
    return {str(path): report for path, report in reports.items()}


def register(
    policy_dir: str | Path, converted_dir: str | Path, tree: str | Path, **settings: Any
) -> AgentSpec:
    """Register one policy in a copy of the installed posggym.

    Parameters
    ----------
    policy_dir, converted_dir
        What `extract` and `convert` wrote.
    tree
        Folder to make; `PYTHONPATH=<tree>` uses it. An existing one is replaced.
    **settings
        `policy_name`, and other registration settings of the config reference.

    Returns
    -------
    AgentSpec
        Its `id` is what `posggym.agents.make` takes.

    Raises
    ------
    ValueError
        If the settings make no valid id, or the id is taken.
    """
    policy = read_policy(Path(policy_dir))
    converted = read_conversion(Path(converted_dir))
    spec = agent_spec(
        policy,
        converted.obs_processor,
        converted.action_processor,
        settings,
        converted.sha256,
    )
    with tempfile.TemporaryDirectory() as assets:
        stage_assets([(spec, Path(converted_dir) / f"{MODEL_NAME}.pkl")], Path(assets))
        partners = partners_of(policy.notes)
        make_tree([spec], Path(assets), Path(tree), partners=partners)
    return spec


def verify(spec: AgentSpec, policy_dir: str | Path, tree: str | Path) -> dict[str, Any]:
    """Play full episodes with a registered agent, in a fresh process.

    Parameters
    ----------
    spec
        What `register` returned.
    policy_dir
        What `extract` wrote.
    tree
        The tree that `register` made.

    Returns
    -------
    dict
        The report: `passed`, `returns`, `mean_return`, `reference_mean_return`, ....

    Raises
    ------
    RuntimeError
        If the agent cannot be made or plays differently; with both figures.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "verification.json"
        arguments = [json.dumps(spec.to_json()), str(policy_dir), str(report)]
        try:
            run_with_tree(
                Path(tree), "posggym_es.evaluation.verify_in_tree", *arguments
            )
        except FreshProcessError as error:
            raise RuntimeError(error.reason) from error
        return dict(read_json(report))
