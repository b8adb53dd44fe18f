"""How often each policy of a population plays against a learner.

Policy-space response oracles (Lanctot et al., 2017) train a best response to a mixture
of the policies so far: the solution of the game between them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.optimize

from pgpelib.policies.partners import Partners
from pgpelib.policies.saving import load_partners, with_standard_names
from posggym_es.evaluation.crossplay import (
    compiled_returns,
    not_compiled,
    posggym_returns,
)
from posggym_es.evaluation.payoffs import Variant
from posggym_es.tasks.partners import partner_pool
from posggym_es.tasks.posggym_envs import ENDLESS_LENGTH, PosggymEpisodes

Vector = npt.NDArray[np.float64]

# Smaller weights are zero, up to the precision of the solver.
_DIGITS = 6
# Returns of two agents that add up to less than this are opposite.
_ZERO = 1e-6


def nash(payoffs: Vector) -> tuple[Vector, Vector]:
    """Return a Nash equilibrium of a two-player zero-sum game, by linear programming.

    Parameters
    ----------
    payoffs
        Shape (n, m): what the row player gets, and the column player loses.

    Returns
    -------
    row, column : ndarray
        Shapes (n,) and (m,): probabilities of the strategies.
    """
    return _maximin(payoffs), _maximin(-payoffs.T)


def _maximin(payoffs: Vector) -> Vector:
    """Return the mixture of rows with the largest worst-case payoff."""
    n, m = payoffs.shape
    # Of (probabilities, value): maximise the value that every column leaves.
    solution = scipy.optimize.linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=np.hstack([-payoffs.T, np.ones((m, 1))]),
        b_ub=np.zeros(m),
        A_eq=np.append(np.ones(n), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    weights = np.round(np.clip(solution.x[:n], 0, None), _DIGITS)
    return np.asarray(weights / weights.sum())


def mixture(
    variant: Variant,
    partners: Sequence[str],
    role: str | None,
    episodes: int,
    endless_length: int = ENDLESS_LENGTH,
) -> dict[str, float]:
    """Return the partners that a best response trains against, with their weights.

    In a two-player zero-sum environment they are a Nash equilibrium of the empirical
    game between the partners; in others, all weights are the same.

    Parameters
    ----------
    variant
        The environment.
    partners
        Registered and saved policies.
    role
        The agent id that the best response plays; None for each in turn.
    episodes
        Episodes of each pair; their seeds are 0, 1, ...
    endless_length
        Maximum steps per episode if the environment has no time limit.
    """
    agents = list(PosggymEpisodes(variant.env_id, variant.env_args).env.possible_agents)
    playing = _players(agents, partners)
    others = [agent for agent in agents if agent != role]
    uniform = {name: 1.0 for agent in others for name in playing[agent]}
    if len(agents) != 2 or len(uniform) == 1:
        return uniform
    rows, columns = (playing[agent] for agent in agents)
    play = posggym_returns if not_compiled(variant, partners) else compiled_returns
    returns = np.array(
        [
            [
                play(variant, [{agents[0]: a, agents[1]: b}], episodes, endless_length)
                for b in columns
            ]
            for a in rows
        ]
    )
    if np.abs(returns.sum(axis=-1)).max() > _ZERO:
        return uniform
    payoffs = returns.mean(axis=2)
    if role is None:
        # Either agent may be the row player.
        row, _ = nash((payoffs[..., 0] + payoffs[..., 1].T) / 2)
        names, weights = rows, row
    else:
        solution = nash(payoffs[..., 0])
        place = 1 - agents.index(role)
        names, weights = (rows, columns)[place], solution[place]
    return {
        name: float(weight)
        for name, weight in zip(names, weights, strict=True)
        if weight > 0
    }


def _players(agents: Sequence[str], partners: Partners) -> dict[str, list[str]]:
    """Return the partners that can play each agent."""
    policies = load_partners(partners)
    standard = {
        new: name for name in partners for new in with_standard_names([name], policies)
    }
    pool = partner_pool(agents, list(standard.values()))
    return {
        agent: [standard[name] for name in names]
        for agent, names in pool.candidates.items()
    }
