"""Checks that published agents work, in a process with the published posggym."""

from __future__ import annotations

import sys
from pathlib import Path

import posggym.agents
import posggym.config

from pgpelib.utils.files import read_json
from posggym_es.evaluation.playing import CoPlayers, Player
from posggym_es.models.model_downloads import ensure_model
from posggym_es.registration.environments import posggym_episodes
from posggym_es.registration.spec import AgentSpec
from posggym_es.tasks.family import RANDOM_POLICY


def prove(spec: AgentSpec, sha256: str) -> None:
    """Download an agent's file, create the agent by its id, and play an episode.

    The file is checked before POSGGym loads it.

    Parameters
    ----------
    spec
        The agent, registered in the imported posggym.
    sha256
        Expected SHA-256 of its policy file.

    Raises
    ------
    ValueError
        If the id is not registered, or its file cannot be downloaded or does not have
        the expected SHA-256.
    Exception
        Any error that the agent or its environment raises.
    """
    if spec.id not in posggym.agents.registry:
        raise ValueError("not registered in the published posggym")
    file = posggym.config.AGENT_MODEL_DIR / spec.asset
    if file.exists():
        raise ValueError(f"{file} exists before the download")
    ensure_model(posggym.agents.registry[spec.id], sha256)
    role = spec.valid_agent_ids[0] if spec.valid_agent_ids else None
    co_players = CoPlayers(role, [RANDOM_POLICY] if role is not None else [])
    episodes = posggym_episodes(spec.env_id, spec.env_args)
    player = Player(
        episodes,
        co_players,
        lambda model, agent: posggym.agents.make(spec.id, model, agent),
    )
    player.play(0)
    episodes.env.close()


def main() -> None:
    """Check the agents in a JSON file; exit with the first one that fails.

    `sys.argv[1]` is the file, a list of objects with `spec` and `sha256`. `sys.argv[2]`
    is the base URL of the models repository's raw files; if empty, posggym's own.
    """
    if sys.argv[2]:
        posggym.config.AGENT_MODEL_REPO_URL = sys.argv[2]
    for item in read_json(Path(sys.argv[1])):
        spec = AgentSpec.from_json(item["spec"])
        try:
            prove(spec, item["sha256"])
        except Exception as error:
            # Third-party environments can raise any error: the check failed.
            reason = str(error).removeprefix(f"{spec.id}: ")
            sys.exit(f"{spec.id}: {type(error).__name__}: {reason}")


if __name__ == "__main__":
    main()
