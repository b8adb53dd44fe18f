"""`python -m`: print the ids of the agents that the imported posggym registers."""

from __future__ import annotations

import posggym.agents

if __name__ == "__main__":
    print("\n".join(posggym.agents.registry))
