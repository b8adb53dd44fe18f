"""Agents by what users call them: a folder, a place in the zoo, or an id."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import posggym.agents
from posggym.agents.registration import PolicySpec

from pgpelib.utils.hints import did_you_mean
from posggym_es.agents.folders import agent_folders, agent_specs
from posggym_es.agents.run_time import register_agents
from posggym_es.evaluation.file_names import VERIFICATION_FILE
from posggym_es.evaluation.playing import CoPlayers
from posggym_es.evaluation.verification_report import read_verification
from posggym_es.registration.environments import posggym_episodes
from posggym_es.tasks.family import RANDOM_POLICY

# What the workflow registers all agents in, if this is a folder that it ran in.
REGISTRY = Path("results/registry")


@dataclasses.dataclass(frozen=True)
class FoundAgent:
    """An agent that is registered in this process.

    Parameters
    ----------
    spec
        POSGGym's spec.
    folder
        Its folder; None for an agent of the installed posggym.
    """

    spec: PolicySpec
    folder: Path | None = None

    def co_players(self) -> CoPlayers:
        """Return who it plays with: as verified, or else itself, or random ones.

        Raises
        ------
        ValueError
            If its verification is damaged.
        """
        if self.folder is not None and (self.folder / VERIFICATION_FILE).exists():
            verified = read_verification(self.folder / VERIFICATION_FILE)
            company = CoPlayers(**verified["company"])
            if company.siblings:
                register_agents(self.folder.parent)
            return company
        valid = self.spec.valid_agent_ids
        env = posggym_episodes(self.spec.env_id, self.spec.env_args).env
        agents = list(env.possible_agents)
        env.close()
        if valid is None or set(agents) <= set(valid):
            return CoPlayers()
        return CoPlayers(valid[0], [RANDOM_POLICY])


def find_agent(name: str) -> FoundAgent:
    """Return the agent that a user names, and register it.

    Parameters
    ----------
    name
        As for `find_agents`.

    Raises
    ------
    ValueError
        If there is no such agent, or more than one.
    """
    found = find_agents(name)
    if len(found) > 1:
        ids = ", ".join(agent.spec.id for agent in found)
        raise ValueError(f"{name}: {len(found)} agents; name one of {ids}")
    return found[0]


def find_agents(name: str) -> list[FoundAgent]:
    """Return the agents that a user names, and register them.

    Parameters
    ----------
    name
        A folder with agents below it, in results or the zoo; or the id of an agent
        of the zoo, of `results/registry` in this folder, or of the installed posggym.

    Raises
    ------
    ValueError
        If there is no such agent.
    """
    if Path(name).is_dir():
        return _agents_in(Path(name))
    # Not before: the import registers the zoo, whose ids one's own agents may have.
    from posggym_es import zoo

    if (zoo.FOLDER / name).is_dir():
        return _agents_in(zoo.FOLDER / name)
    roots = [zoo.FOLDER, *([REGISTRY] if REGISTRY.is_dir() else [])]
    for root in roots:
        for folder, spec in agent_specs(root):
            if spec.id == name:
                return _agents_in(folder)
    known = posggym.agents.registry
    if name in known:
        return [FoundAgent(known[name])]
    raise ValueError(
        f"unknown agent {name!r}{did_you_mean(name, list(known))}; name a folder in "
        "results/ or zoo/, or the id of a registered agent"
    )


def _agents_in(root: Path) -> list[FoundAgent]:
    ids = register_agents(root)
    # A models repository has none.
    folders: list[Path | None] = [*agent_folders(root)] or [None] * len(ids)
    return [
        FoundAgent(posggym.agents.registry[policy_id], folder)
        for policy_id, folder in zip(ids, folders, strict=True)
    ]
