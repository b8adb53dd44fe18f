"""The steps of the pipeline as Python functions, for use without Snakemake."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pgpelib.utils.files import read_json
from posggym_es.conversion.folders import convert_folder
from posggym_es.conversion.report import MODEL_FILE, read_conversion
from posggym_es.evaluation.extraction import extract
from posggym_es.evaluation.file_names import VERIFICATION_FILE
from posggym_es.policies.policy_file import read_policy
from posggym_es.registration.posggym_trees import make_tree
from posggym_es.registration.spec import AgentSpec
from posggym_es.registration.spec_making import agent_spec
from posggym_es.registration.staging import stage_assets
from posggym_es.sources.settings import AgentSettings
from posggym_es.utils.fresh_process import FreshProcessError, run_with_tree

__all__ = ["convert", "extract", "register", "verify"]


def convert(
    checkpoint_dir: str | Path,
    output_dir: str | Path,
    env_modules: Collection[str] = (),
    source: str | None = None,
    agent: AgentSettings | None = None,
) -> dict[str, Any]:
    """Convert the policies in a folder to POSGGym's format, and prove them equivalent.

    Parameters
    ----------
    checkpoint_dir, output_dir, env_modules, source, agent
        As in `posggym_es.conversion.folders.convert_folder`.

    Returns
    -------
    dict
        The report of each written policy file, keyed by its path; for its content and
        for errors see `posggym_es.conversion.folders.convert_folder`.
    """
    reports = convert_folder(
        Path(checkpoint_dir),
        Path(output_dir),
        env_modules=env_modules,
        source=source,
        agent=agent,
    )
    return {str(path): report for path, report in reports.items()}


def register(
    policy_dir: str | Path,
    converted_dir: str | Path,
    tree: str | Path,
    *,
    env_modules: Collection[str] = (),
    **settings: Any,
) -> AgentSpec:
    """Register one policy in a copy of the installed posggym.

    Parameters
    ----------
    policy_dir, converted_dir
        Output folders of `extract` and `convert`.
    tree
        Folder of the copy, to be used with `PYTHONPATH=<tree>`. An existing one is
        replaced.
    env_modules
        As in `extract`.
    **settings
        `policy_name`, and other settings of `register` in the config reference.

    Returns
    -------
    AgentSpec
        The registered agent; `posggym.agents.make` accepts its `id`.

    Raises
    ------
    ValueError
        If the settings do not give a valid id, or the id is already registered.
    """
    policy = read_policy(Path(policy_dir), env_modules)
    converted = read_conversion(Path(converted_dir))
    spec = agent_spec(
        policy,
        converted.obs_processor,
        converted.action_processor,
        settings,
        converted.sha256,
    )
    with tempfile.TemporaryDirectory() as assets:
        stage_assets([(spec, Path(converted_dir) / MODEL_FILE)], Path(assets))
        partners = policy.metadata.partner_ids
        make_tree([spec], Path(assets), Path(tree), partners=partners)
    return spec


def verify(spec: AgentSpec, policy_dir: str | Path, tree: str | Path) -> dict[str, Any]:
    """Play full episodes with a registered agent, in a fresh process.

    Parameters
    ----------
    spec
        The agent, as returned by `register`.
    policy_dir
        Output folder of `extract`.
    tree
        The tree that `register` created.

    Returns
    -------
    dict
        The report: `passed`, `returns`, `mean_return`, `reference_mean_return`, ....

    Raises
    ------
    RuntimeError
        If the agent cannot be created, or its mean return differs from the trained
        policy's; the message has both.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / VERIFICATION_FILE
        arguments = [json.dumps(spec.to_json()), str(policy_dir), str(report)]
        try:
            run_with_tree(
                Path(tree), "posggym_es.evaluation.verify_in_tree", *arguments
            )
        except FreshProcessError as error:
            raise RuntimeError(error.reason) from error
        return dict(read_json(report))
