"""Cross-play: payoffs of an environment's policies with each other."""

from __future__ import annotations

import concurrent.futures
import functools
import hashlib
import json
import logging
import multiprocessing
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import posggym
import posggym.agents
import torch

from pgpelib.policies.saving import load_partners, with_standard_names
from pgpelib.utils.files import read_json, write_json
from posggym_compiled.rollouts import Players
from posggym_es.agents.run_time import register_agents
from posggym_es.evaluation.payoffs import Variant
from posggym_es.evaluation.playing import Actor, make_actor, play_episode
from posggym_es.models.model_downloads import ensure_model
from posggym_es.tasks.compiled_task import (
    compiled_partners,
    compiled_world,
    reason_against,
)
from posggym_es.tasks.family import RANDOM_POLICY
from posggym_es.tasks.posggym_envs import (
    ENDLESS_LENGTH,
    PosggymEpisodes,
    same_env_args,
)
from posggym_es.utils.return_statistics import mean_interval

logger = logging.getLogger(__name__)

Returns = npt.NDArray[np.float64]

COLUMNS = ["row", "column", "mean", "margin", "episodes"]


def policies_of(variant: Variant) -> dict[str, list[str] | None]:
    """Return the registered policies of an environment, with the agents they can play.

    These are the policies for exactly these arguments, the policies for any arguments,
    and a random policy. None stands for all agents.
    """
    found: dict[str, list[str] | None] = {}
    for policy_id, spec in posggym.agents.registry.items():
        if spec.env_id != variant.env_id:
            continue
        own = spec.env_args
        if own is None or same_env_args(spec.env_id, own, variant.env_args):
            found[policy_id] = spec.valid_agent_ids
    return {**found, RANDOM_POLICY: None}


def usable(
    variant: Variant, policies: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """Return the policies that can be created, and the reasons why others cannot.

    Missing policy files are downloaded, and all are checked before POSGGym loads them;
    see `posggym_es.models.model_downloads`.
    """
    env = PosggymEpisodes(variant.env_id, variant.env_args).env
    made, reasons = [], {}
    for policy_id in policies:
        try:
            spec = posggym.agents.registry[policy_id]
            ensure_model(spec)
            agent = (spec.valid_agent_ids or env.possible_agents)[0]
            posggym.agents.make(policy_id, env.model, agent)
        except Exception as error:
            # Third-party code can raise any error: this policy cannot play.
            reasons[policy_id] = f"{type(error).__name__}: {str(error)[:200]}"
        else:
            made.append(policy_id)
    env.close()
    return made, reasons


def assignments(
    agents: Sequence[str],
    row: str,
    column: str,
    valid: dict[str, list[str] | None],
) -> list[dict[str, str]]:
    """Return all assignments of two policies to the agents of an environment.

    Parameters
    ----------
    agents
        Agent ids of the environment.
    row, column
        The policy whose return is measured, which plays one agent, and the policy that
        plays all other agents. If both are the same, it plays all agents (self-play).
    valid
        Agent ids that each policy can play; None for all.

    Returns
    -------
    list of dict
        One dict for each agent that the row's policy can play, with the policy of each
        agent id. Empty if the policies cannot play together.
    """
    places = {
        policy: set(agents if valid[policy] is None else valid[policy] or ())
        for policy in (row, column)
    }
    if row == column:
        return [dict.fromkeys(agents, row)] if places[row] >= set(agents) else []
    return [
        {agent: row if agent == own else column for agent in agents}
        for own in agents
        if own in places[row] and places[column] >= set(agents) - {own}
    ]


def posggym_returns(
    variant: Variant,
    parts: Sequence[dict[str, str]],
    episodes: int,
    endless_length: int = ENDLESS_LENGTH,
) -> Returns:
    """Play episodes in POSGGym's own environment.

    Parameters
    ----------
    variant
        The environment.
    parts
        The policy of each agent id, registered or saved; episodes use them in turn.
    episodes
        Number of episodes; their seeds are 0, 1, ...
    endless_length
        Maximum steps per episode if the environment has no time limit.

    Returns
    -------
    ndarray
        Shape (episodes, agents): the return of each agent.
    """
    game = PosggymEpisodes(
        variant.env_id, variant.env_args, endless_length=endless_length
    )
    saved = load_partners({policy: 1 for part in parts for policy in part.values()})

    @functools.cache
    def actor(policy: str, agent: str) -> Actor:
        return make_actor(policy, game.env.model, agent, saved)

    returns = []
    for seed in range(episodes):
        # POSGGym's stochastic policies draw from PyTorch's own generator.
        torch.manual_seed(seed)
        part = parts[seed % len(parts)]
        actors = {agent: actor(policy, agent) for agent, policy in part.items()}
        everyone, _ = play_episode(game, actors, seed)
        returns.append([everyone[agent] for agent in game.env.possible_agents])
    return np.array(returns)


def compiled_returns(
    variant: Variant,
    parts: Sequence[dict[str, str]],
    episodes: int,
    endless_length: int = ENDLESS_LENGTH,
) -> Returns:
    """Play episodes like `posggym_returns`, but with compiled kernels.

    Deterministic policies get the same returns. Stochastic policies draw the same
    random numbers as POSGGym's policies after `reset`, but networks add in another
    order, so an action can differ if a draw falls between the two results.

    Raises
    ------
    UnsupportedError
        If kernels cannot play the environment or one of the policies.
    """
    world = compiled_world(variant.env_id, variant.env_args)
    policies = list(dict.fromkeys(policy for part in parts for policy in part.values()))
    partners = compiled_partners(world, policies)
    # Index 0 is reserved for a learner.
    numbers = {policy: number for number, policy in enumerate(partners, 1)}
    named = with_standard_names(policies, load_partners(policies))
    standard = dict(zip(policies, named, strict=True))
    seats = np.array(
        [[numbers[standard[part[i]]] for i in world.agents] for part in parts]
    )
    seeds = np.arange(episodes, dtype=np.uint64)
    limit = None if world.max_episode_steps else endless_length
    players = Players(world, None, list(partners.values()))
    cast = seats[seeds % np.uint64(len(seats))]
    return players.play_partners(seeds, cast, limit).returns[0]


def play_pair(
    variant: Variant, parts: Sequence[dict[str, str]], row: str, episodes: int
) -> list[float]:
    """Return the row policy's return in each episode, averaged over its agents.

    Parameters
    ----------
    variant
        The environment.
    parts
        Assignments, as returned by `assignments`, which episodes use in turn.
    row
        The policy whose return is measured.
    episodes
        Number of episodes; their seeds are 0, 1, ...
    """
    return _own(posggym_returns(variant, parts, episodes), parts, row)


def play_compiled_pair(
    variant: Variant, parts: Sequence[dict[str, str]], row: str, episodes: int
) -> list[float]:
    """Play a pair like `play_pair`, but with compiled kernels.

    Raises
    ------
    UnsupportedError
        See `compiled_returns`.
    """
    return _own(compiled_returns(variant, parts, episodes), parts, row)


def _own(returns: Returns, parts: Sequence[dict[str, str]], row: str) -> list[float]:
    """Return a policy's mean return in each episode."""
    places = np.array([[policy == row for policy in part.values()] for part in parts])
    own = places[np.arange(len(returns)) % len(parts)]
    return [float(mean) for mean in np.mean(returns, axis=1, where=own)]


def not_compiled(variant: Variant, policies: Sequence[str]) -> dict[str, str]:
    """Return the reasons why compiled kernels cannot play policies, keyed by id."""
    reason = reason_against(variant.env_id, variant.env_args)
    if reason is not None:
        return dict.fromkeys(policies, reason)
    reasons = {
        policy: reason_against(variant.env_id, variant.env_args, [policy])
        for policy in policies
    }
    return {policy: reason for policy, reason in reasons.items() if reason is not None}


def play_all(
    variant: Variant,
    policies: Sequence[str],
    episodes: int,
    workers: int,
    state: Path,
    on_pair: Callable[[], None] | None = None,
    agents_folder: Path | None = None,
) -> pd.DataFrame:
    """Play each policy with every other policy, and with itself.

    Pairs that were played before are read from `state`. Compiled kernels play the other
    pairs if they can; otherwise POSGGym's own environment does, and the log says why.

    Parameters
    ----------
    variant
        The environment.
    policies
        Policy ids.
    episodes
        Episodes of each ordered pair.
    workers
        Number of worker processes.
    state
        Folder for results of pairs.
    on_pair
        Called after each pair.
    agents_folder
        Folder of the agents that were registered at run time, if any; the workers
        register them, too.

    Returns
    -------
    DataFrame
        `COLUMNS` for each ordered pair that can play together; the margin is half the
        width of the mean's 95 % interval.
    """
    agents = PosggymEpisodes(variant.env_id, variant.env_args).env.possible_agents
    registry = posggym.agents.registry
    valid = {policy: registry[policy].valid_agent_ids for policy in policies}
    files = {policy: _identity(policy) for policy in policies}
    slow = not_compiled(variant, policies)
    for reason in dict.fromkeys(slow.values()):
        logger.info("compiled kernels do not play the episodes: %s", reason)
    rows: dict[tuple[str, str], list[float]] = {}
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        workers, context, _start_worker, (agents_folder,)
    ) as pool:
        waiting = {}
        for row in policies:
            for column in policies:
                parts = assignments(agents, row, column, valid)
                if not parts:
                    continue
                facts = [variant.name, row, column, files[row], files[column], episodes]
                key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
                path = state / f"{key}.json"
                if path.is_file():
                    rows[row, column] = read_json(path)["returns"]
                    if on_pair is not None:
                        on_pair()
                else:
                    in_posggym = row in slow or column in slow
                    play = play_pair if in_posggym else play_compiled_pair
                    job = pool.submit(play, variant, parts, row, episodes)
                    waiting[job] = row, column, path
        for job in concurrent.futures.as_completed(waiting):
            row, column, path = waiting[job]
            rows[row, column] = job.result()
            values = {"row": row, "column": column, "returns": rows[row, column]}
            write_json(path, values)
            if on_pair is not None:
                on_pair()
    table = [
        (row, column, *mean_interval(rows[row, column]), episodes)
        for row in policies
        for column in policies
        if (row, column) in rows
    ]
    return pd.DataFrame(table, columns=COLUMNS)


def _start_worker(agents_folder: Path | None) -> None:
    if agents_folder is not None:
        register_agents(agents_folder)


def _identity(policy_id: str) -> str:
    """Return a hash that distinguishes policies with the same id."""
    spec = posggym.agents.registry[policy_id]
    path = spec.kwargs.get("policy_file_path")
    content = Path(path).read_bytes() if path and Path(path).is_file() else b""
    return hashlib.sha256(content).hexdigest()
