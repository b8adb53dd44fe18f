"""What people look at: one folder per experiment, and how to load its agents."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd

from pgpelib.files import read_json, write_json, write_text
from posggym_es.agents import shown
from posggym_es.spec import AgentSpec

mpl.use("Agg")
# The same figure for the same data: no time stamp, no random ids.
mpl.rcParams["svg.hashsalt"] = "posggym-es"

TREE_FOLDER = "posggym-tree"


def load_lines(spec: AgentSpec) -> list[str]:
    """Return the lines of Python that load an agent."""
    args = "".join(f", {k}={v!r}" for k, v in (spec.env_args or {}).items())
    agent = spec.valid_agent_ids[0] if spec.valid_agent_ids else "0"
    lines = ["import posggym, posggym.agents"]
    if spec.env_type == "gymnasium":
        lines.append("import posggym_gymnasium  # registers Gymnasium tasks")
    return [
        *lines,
        f'env = posggym.make("{spec.env_id}"{args})',
        f'policy = posggym.agents.make("{spec.id}", env.model, "{agent}")',
    ]


def tables_of_run(folder: Path) -> dict[str, pd.DataFrame]:
    """Return the metrics of a run's policies by label: seed, and role if any."""
    table = pd.read_csv(folder / "metrics.csv", dtype={"role": str})
    label = folder.name.replace("seed", "seed ")
    if table.role.isna().all():
        return {label: table}
    return {f"{label}, agent {role}": rows for role, rows in table.groupby("role")}


def learning_curve(metrics: dict[str, pd.DataFrame], title: str, path: Path) -> None:
    """Draw population medians and re-evaluations over simulator steps.

    Parameters
    ----------
    metrics
        `metrics.csv` of each policy, by label.
    title
        Title of the figure.
    path
        File to write; its suffix gives the format.
    """
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for number, (label, table) in enumerate(metrics.items()):
        color = f"C{number}"
        axes.plot(
            table.timesteps,
            table.pop_median,
            color=color,
            alpha=0.5,
            linewidth=1,
            label=f"{label}: population median",
        )
        evaluated = table.dropna(subset=["re_eval_mean"])
        axes.errorbar(
            evaluated.timesteps,
            evaluated.re_eval_mean,
            yerr=evaluated.re_eval_stdev,
            color=color,
            marker="o",
            markersize=4,
            capsize=2,
            label=f"{label}: re-evaluation (± 1 stdev)",
        )
    axes.set_xlabel("simulator steps")
    axes.set_ylabel("return")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    figure.savefig(path, dpi=120, metadata=metadata)
    plt.close(figure)


def collect(
    name: str,
    description: dict[str, Any],
    agent_dirs: Sequence[Path],
    run_dirs: Sequence[Path],
    staged: Path,
    output: Path,
) -> None:
    """Fill the results folder of an experiment.

    Parameters
    ----------
    name
        The experiment.
    description
        Its resolved config.
    agent_dirs
        Folders of the agents with the files of every step after training.
    run_dirs
        Folders `seed<k>` of the training runs; none if policies were given.
    staged
        Folder with the staged trees and docs of the experiment.
    output
        Folder to fill.
    """
    specs: list[AgentSpec] = []
    metrics: dict[str, pd.DataFrame] = {}
    for folder in agent_dirs:
        target = output / folder.name
        shutil.copytree(folder / "extracted", target / "extracted")
        shutil.copytree(folder / "converted", target / "converted")
        shutil.copy2(folder / "verification.json", target)
        shutil.copy2(folder / "spec.json", target)
        specs.append(AgentSpec.from_json(read_json(folder / "spec.json")))
    for folder in run_dirs:
        target = output / folder.name
        shutil.copytree(
            folder / "policies",
            target / "policies",
            ignore=shutil.ignore_patterns(".snakemake_timestamp"),
        )
        shutil.copy2(folder / "metrics.csv", target)
        metrics |= tables_of_run(folder)
    copy_staged(staged, output)
    write_json(output / "config.json", description)
    if metrics:
        learning_curve(metrics, name, output / "learning_curve.png")
        learning_curve(metrics, name, output / "learning_curve.svg")
    verifications = [read_json(d / "verification.json") for d in agent_dirs]
    conversions = [read_json(d / "converted" / "conversion.json") for d in agent_dirs]
    text = f"# {name}\n\n"
    if metrics:
        text += "![Learning curve](learning_curve.png)\n\n"
    text += agent_table(specs, verifications, conversions) + "\n" + loading_text(specs)
    write_text(output / "README.md", text)


def collect_registry(
    specs: Sequence[AgentSpec], verification: Path, staged: Path, output: Path
) -> None:
    """Fill the results folder of the registry of all experiments."""
    copy_staged(staged, output)
    shutil.copy2(verification, output)
    text = "# All agents\n\n" + "".join(f"- `{spec.id}`\n" for spec in specs)
    write_text(output / "README.md", f"{text}\n{loading_text(specs)}")


def copy_staged(staged: Path, output: Path) -> None:
    """Copy the staged trees and docs into a results folder."""
    for folder in (TREE_FOLDER, "posggym-agent-models", "docs"):
        shutil.copytree(
            staged / folder,
            output / folder,
            # Snakemake marks declared folders with a file of its own.
            ignore=shutil.ignore_patterns(".snakemake_timestamp"),
        )


def agent_table(
    specs: Sequence[AgentSpec],
    verifications: Sequence[dict[str, Any]],
    conversions: Sequence[dict[str, Any]],
) -> str:
    """Return a Markdown table of agents with their returns and conversions."""
    rows = [
        "| Agent | Mean return | Trained policy | Episodes | Conversion |",
        "|---|---|---|---|---|",
    ]
    for spec, verified, conversion in zip(
        specs, verifications, conversions, strict=True
    ):
        proof = conversion["proof"]
        if proof["max_difference"] is None:
            exactness = f"{proof['different_actions']} different actions"
        else:
            exactness = f"max. difference {proof['max_difference']:.1e} of the range"
        means = verified["mean_return"], verified["reference_mean_return"]
        rows.append(
            f"| `{spec.id}` | {shown(means[0])} "
            f"| {shown(means[1])} | {len(verified['returns'])} "
            f"| {exactness} over {proof['observations']} observations |"
        )
    return "\n".join(rows) + "\n"


def loading_text(specs: Sequence[AgentSpec]) -> str:
    """Return how to load the agents from the folder that this text stands in."""
    text = (
        "## Load the agents\n\n"
        f"With the pipeline's environment active and this folder's `{TREE_FOLDER}` on "
        f"the path (`export PYTHONPATH=<this folder>/{TREE_FOLDER}`):\n"
    )
    for spec in specs:
        text += "\n```python\n" + "\n".join(load_lines(spec)) + "\n```\n"
    return text
