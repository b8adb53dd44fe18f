"""Published scores, for comparison."""

from __future__ import annotations

from exact_gymnasium.ids import canonical_env_id

# Mean returns of the agents that were published with the ClipUp paper's code
# (arXiv 2008.02387), by the ids of today's environments.
_SCORES = {
    "HumanoidBulletEnv-v0": 4853.0,
    "Humanoid-v4": 10184.0,
    "Walker2d-v4": 5232.0,
}


def published_score(env_id: str) -> float | None:
    """Return the published mean return of an environment, or None.

    Parameters
    ----------
    env_id
        Id of a Gymnasium task, old spellings included, or of a POSGGym environment.
    """
    return _SCORES.get(canonical_env_id(env_id))
