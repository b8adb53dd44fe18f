"""Payoffs of the zoo's agents and POSGGym's own, with each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import posggym

from pgpelib.utils.files import read_json, write_json
from posggym_es.agents.folders import agent_specs
from posggym_es.agents.loading import short_id
from posggym_es.evaluation.crossplay import play_all, policies_of, usable
from posggym_es.evaluation.payoffs import Variant
from posggym_es.publishing.zoo_folder import PAYOFFS_FOLDER
from posggym_es.registration.spec import AgentSpec
from posggym_es.tasks.family import RANDOM_POLICY
from posggym_es.tasks.posggym_envs import ENDLESS_LENGTH, complete_env_args
from posggym_gymnasium.ids import ENV_TYPE as GYMNASIUM


def variants_of(zoo: Path) -> dict[Path, Variant]:
    """Return the POSGGym environments of the zoo, keyed by the files of their payoffs.

    They are `zoo/<environment>/payoffs/<arguments>.json`.
    """
    found = {}
    for _, spec in agent_specs(zoo):
        if spec.env_type != GYMNASIUM:
            variant = _variant(spec)
            found[_payoffs_file(zoo, variant)] = variant
    return found


def _variant(spec: AgentSpec) -> Variant:
    return Variant(spec.env_id, complete_env_args(spec.env_id, spec.env_args or {}))


def _payoffs_file(zoo: Path, variant: Variant) -> Path:
    return zoo / variant.env_id / PAYOFFS_FOLDER / f"{variant.name}.json"


def self_play_levels(zoo: Path, spec: AgentSpec) -> dict[str, float]:
    """Return the mean returns of POSGGym's own policies in an agent's environment.

    Parameters
    ----------
    zoo
        The zoo, whose payoffs have these returns.
    spec
        An agent for a POSGGym environment.

    Returns
    -------
    dict
        The returns in self-play of the best of POSGGym's own policies and of its
        random policy, by their names; without what is not known.
    """
    file = _payoffs_file(zoo, _variant(spec))
    if not file.is_file():
        return {}
    report = read_json(file)
    alone = {
        pair["row"]: pair["mean"]
        for pair in report["payoffs"]
        if pair["row"] == pair["column"] and report["policies"][pair["row"]] is None
    }
    random = alone.pop(RANDOM_POLICY, None)
    levels = {}
    if alone:
        best = max(alone, key=alone.__getitem__)
        levels[f"POSGGym's best ({short_id(best)})"] = alone[best]
    return levels if random is None else {**levels, "random": random}


def contestants(variant: Variant, zoo: Path) -> dict[str, str | None]:
    """Return the policies for an environment: the SHA-256 of the zoo's, else None."""
    files = {spec.id: spec.policy_sha256 for _, spec in agent_specs(zoo)}
    return {policy: files.get(policy) for policy in policies_of(variant)}


def update_payoffs(
    file: Path,
    variant: Variant,
    zoo: Path,
    episodes: int,
    workers: int,
    state: Path,
    on_pair: Callable[[], None] | None = None,
) -> bool:
    """Play all policies of an environment, unless the file has their payoffs.

    Parameters
    ----------
    file
        JSON file of the payoffs.
    variant
        The environment.
    zoo
        The zoo, whose agents have to be registered in the imported posggym.
    episodes, workers, state, on_pair
        As of `posggym_es.evaluation.crossplay.play_all`.

    Returns
    -------
    bool
        Whether episodes were played.
    """
    policies = contestants(variant, zoo)
    present: dict[str, Any] = read_json(file) if file.is_file() else {}
    if (present.get("policies"), present.get("episodes")) == (policies, episodes):
        return False
    made, left_out = usable(variant, list(policies))
    table = play_all(variant, made, episodes, workers, state, on_pair, zoo)
    limit = posggym.envs.registry[variant.env_id].max_episode_steps
    write_json(
        file,
        {
            "env_id": variant.env_id,
            "env_args": {key: str(value) for key, value in variant.env_args.items()},
            "episodes": episodes,
            "endless_length": None if limit else ENDLESS_LENGTH,
            "policies": policies,
            "left_out": left_out,
            "payoffs": table[["row", "column", "mean", "margin"]].to_dict("records"),
        },
    )
    return True
