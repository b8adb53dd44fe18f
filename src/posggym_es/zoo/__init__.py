"""The agents that come with posggym-es, registered with the installed posggym.

    import posggym, posggym.agents, posggym_es.zoo
    env = posggym.make("MultiAccessBroadcastChannel-v0")
    name = "MultiAccessBroadcastChannel-v0/pgpe_sp_seed0-v0"
    policy = posggym.agents.make(name, env.model, "0")

`AGENTS` has their ids; docs/zoo.md shows how well they play.
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.agents.run_time import register_agents

__all__ = ["AGENTS", "FOLDER"]

# In a checkout, this is a link to the folder `zoo`.
FOLDER = Path(__file__).parent / "agents"

AGENTS = register_agents(FOLDER)
