"""Published scores, for comparison."""

from __future__ import annotations

import gymnasium

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


def reference_levels(env_id: str) -> dict[str, float]:
    """Return the mean returns to compare with, by their names.

    They are the published score, and the return at which Gymnasium calls the
    environment solved, if there are such.

    Parameters
    ----------
    env_id
        See `published_score`.
    """
    spec = gymnasium.registry.get(canonical_env_id(env_id))
    levels = {
        "published": published_score(env_id),
        "solved": spec.reward_threshold if spec is not None else None,
    }
    return {name: float(level) for name, level in levels.items() if level is not None}
