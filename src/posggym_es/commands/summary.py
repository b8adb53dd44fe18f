"""What a run ends with: returns, the page to open, and how to play an agent."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from posggym_es.agents.folders import agent_folders
from posggym_es.agents.loading import lines_of
from posggym_es.config.scales import FULL_SCALE
from posggym_es.evaluation.verified_agent import VerifiedAgent
from posggym_es.publishing.zoo_payoffs import self_play_levels
from posggym_es.reporting.html_pages import PAGE_FILE, rehearsal
from posggym_es.reporting.published_scores import reference_levels
from posggym_es.utils.return_statistics import format_return
from posggym_es.utils.text_tables import text_table


def summary(results: Path, experiments: Sequence[str], scale: str = FULL_SCALE) -> str:
    """Return the summary of experiments; empty if none of them has results.

    Parameters
    ----------
    results
        Folder of the results.
    experiments
        Names of experiments.
    scale
        The scale of the config.
    """
    agents = [
        VerifiedAgent.read(folder)
        for name in experiments
        for folder in agent_folders(results / name)
    ]
    if not agents:
        return ""
    table = [["agent", "mean return (95 %)", "to compare with"]]
    table += [[_label(each), each.mean_return, _levels(each)] for each in agents]
    last = agents[-1]
    folder = last.folder.absolute()
    command = Path(sys.executable).with_name("posggym-es")
    mark = rehearsal(scale)
    return "\n".join(
        [
            *([mark] if mark else []),
            text_table(table, left=len(table[0])),
            f"Open {(results / PAGE_FILE).absolute()}",
            f"Watch an agent: {command} watch {folder}",
            f"Or paste this into {sys.executable}:",
            *(f"    {line}" for line in lines_of(last.spec, str(folder))),
        ]
    )


def _label(agent: VerifiedAgent) -> str:
    return f"{agent.folder.parent.name}/{agent.folder.name}"


def _levels(agent: VerifiedAgent) -> str:
    """Return the returns that are known of others in the same place, in words."""
    levels = reference_levels(agent.spec.env_id)
    if agent.company == "itself":
        from posggym_es import zoo

        levels = {**levels, **self_play_levels(zoo.FOLDER, agent.spec)}
    return ", ".join(f"{k} {format_return(v)}" for k, v in levels.items()) or "-"
