"""Results folders: one per experiment, with instructions for loading its agents."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pgpelib.training.run_folder import METRICS_FILE
from pgpelib.utils.files import read_json, write_bytes, write_json, write_text
from posggym_es.agents.folders import CONVERTED_FOLDER, policy_file_of
from posggym_es.agents.loading import lines_of
from posggym_es.config.result_names import CONFIG_FILE, CURVE_FILE
from posggym_es.config.scales import FULL_SCALE
from posggym_es.conversion.report import REPORT_FILE
from posggym_es.evaluation.file_names import (
    EXTRACTED_FOLDER,
    FILM_FOLDER,
    VERIFICATION_FILE,
)
from posggym_es.evaluation.verified_agent import CARD_FILE, VerifiedAgent
from posggym_es.policies.policy_file import read_metadata
from posggym_es.registration.spec import MODELS_ROOT, SPEC_FILE, AgentSpec
from posggym_es.reporting.charts import learning_curve, tables_of_run
from posggym_es.reporting.html_pages import (
    SUMMARY_FILE,
    conversion_text,
    experiment_page,
    key_figures,
    random_returns,
    rehearsal,
)
from posggym_es.reporting.published_scores import reference_levels
from posggym_es.utils.return_statistics import format_return

TREE_FOLDER = "posggym-tree"
MODELS_FOLDER = "posggym-agent-models"
AGENTS_FOLDER = "agents"
# Snakemake marks declared folders with its own file.
_SNAKEMAKES_OWN = shutil.ignore_patterns(".snakemake_timestamp")


def collect(
    name: str,
    description: dict[str, Any],
    agent_dirs: Sequence[Path],
    run_dirs: Sequence[Path],
    staged: Path,
    output: Path,
    films: bool,
) -> None:
    """Fill the results folder of an experiment.

    Parameters
    ----------
    name
        The experiment.
    description
        Its resolved config.
    agent_dirs
        The agents' folders, with the files of every step after training.
    run_dirs
        Folders `seed<k>` of the training runs; empty if policies were given.
    staged
        Folder with the experiment's staged trees and docs.
    output
        Folder to write.
    films
        Whether to include the agents' films.
    """
    scale = description.get("scale", FULL_SCALE)
    below = "" if scale == FULL_SCALE else f"{scale}/"
    source = f"results/{below}{name}"
    setup = (
        "import posggym, posggym.agents, posggym_es\n\n"
        f'posggym_es.register_agents("{source}")'
    )
    parts = [EXTRACTED_FOLDER, CONVERTED_FOLDER, *([FILM_FOLDER] if films else [])]
    agents: list[dict[str, Any]] = []
    tables: dict[str, pd.DataFrame] = {}
    for folder in agent_dirs:
        target = output / folder.name
        for part in parts:
            shutil.copytree(folder / part, target / part, ignore=_SNAKEMAKES_OWN)
        shutil.copy2(folder / VERIFICATION_FILE, target)
        shutil.copy2(folder / SPEC_FILE, target)
        spec = AgentSpec.read(folder / SPEC_FILE)
        # Checks that the published file is the one that was verified.
        spec.policy_bytes(policy_file_of(target))
        agents.append(
            {
                "spec": spec,
                "verification": read_json(folder / VERIFICATION_FILE),
                "conversion": read_json(folder / CONVERTED_FOLDER / REPORT_FILE),
                "metadata": read_metadata(folder / EXTRACTED_FOLDER),
                "load": lines_of(spec, source),
                "folder": target,
            }
        )
        card = VerifiedAgent.read(target).card(setup)
        write_text(target / CARD_FILE, card)
    for folder in run_dirs:
        target = output / folder.name
        shutil.copytree(
            folder / "policies", target / "policies", ignore=_SNAKEMAKES_OWN
        )
        shutil.copy2(folder / METRICS_FILE, target)
        tables |= tables_of_run(folder)
    copy_staged(staged, output)
    write_json(output / CONFIG_FILE, description)
    specs = [agent["spec"] for agent in agents]
    verifications = [agent["verification"] for agent in agents]
    if tables:
        levels = reference_levels(specs[0].env_id)
        random = random_returns(agents)
        for file in (CURVE_FILE, "learning_curve.svg"):
            learning_curve(tables, levels, random, name, output / file)
    text = _heading(name, scale)
    if tables:
        text += f"![Learning curve]({CURVE_FILE})\n\n"
    text += agent_table(agents) + "\n" + loading_text(specs)
    write_text(output / "README.md", text)
    folders = [folder.name for folder in agent_dirs]
    figures = key_figures(name, specs, verifications, tables, folders, scale)
    write_json(output / SUMMARY_FILE, figures)
    experiment_page(description, figures, agents, tables, output)


def collect_registry(
    specs: Sequence[AgentSpec],
    verification: Path,
    staged: Path,
    output: Path,
    scale: str = FULL_SCALE,
) -> None:
    """Fill the results folder of the registry of all experiments."""
    copy_staged(staged, output)
    shutil.copy2(verification, output)
    for spec in specs:
        folder = output / AGENTS_FOLDER / spec.id
        data = spec.policy_bytes(output / MODELS_FOLDER / MODELS_ROOT / spec.asset)
        write_json(folder / SPEC_FILE, spec.to_json())
        write_bytes(policy_file_of(folder), data)
    text = _heading("All agents", scale) + "".join(f"- `{spec.id}`\n" for spec in specs)
    write_text(output / "README.md", f"{text}\n{loading_text(specs)}")


def _heading(title: str, scale: str) -> str:
    mark = rehearsal(scale)
    return f"# {title}\n\n" + (f"**{mark}**\n\n" if mark else "")


def copy_staged(staged: Path, output: Path) -> None:
    """Copy the staged trees and docs into a results folder."""
    for folder in (TREE_FOLDER, MODELS_FOLDER, "docs"):
        shutil.copytree(
            staged / folder,
            output / folder,
            ignore=_SNAKEMAKES_OWN,
        )


def agent_table(agents: Sequence[dict[str, Any]]) -> str:
    """Return a Markdown table of agents with their returns and conversions."""
    rows = [
        "| Agent | Mean return | Trained policy | Episodes | Conversion |",
        "|---|---|---|---|---|",
    ]
    for agent in agents:
        verified = agent["verification"]
        means = verified["mean_return"], verified["reference_mean_return"]
        rows.append(
            f"| `{agent['spec'].id}` | {format_return(means[0])} "
            f"| {format_return(means[1])} | {len(verified['returns'])} "
            f"| {conversion_text(agent['conversion']['proof'])} |"
        )
    return "\n".join(rows) + "\n"


def loading_text(specs: Sequence[AgentSpec]) -> str:
    """Return instructions for loading the agents, to be saved in the results folder."""
    text = (
        "## Load the agents\n\n"
        'After `posggym_es.register_agents("<this folder>")`, the installed posggym '
        f"has them. So has the copy of it in `{TREE_FOLDER}`, which does not need "
        f"posggym-es (`export PYTHONPATH=<this folder>/{TREE_FOLDER}`).\n"
    )
    for spec in specs:
        text += "\n```python\n" + "\n".join(lines_of(spec)) + "\n```\n"
    return text
