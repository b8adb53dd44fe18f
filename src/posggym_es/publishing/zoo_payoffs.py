"""Payoffs of the zoo's agents and POSGGym's own, with each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import posggym

from pgpelib.utils.files import read_json, write_json
from posggym_es.agents.folders import agent_folders
from posggym_es.evaluation.crossplay import play_all, policies_of, usable
from posggym_es.evaluation.payoffs import Variant
from posggym_es.publishing.zoo_folder import PAYOFFS_FOLDER
from posggym_es.registration.spec import SPEC_FILE, AgentSpec
from posggym_es.tasks.posggym_envs import ENDLESS_LENGTH, complete_env_args
from posggym_gymnasium.ids import ENV_TYPE as GYMNASIUM


def variants_of(zoo: Path) -> dict[Path, Variant]:
    """Return the POSGGym environments of the zoo, keyed by the files of their payoffs.

    They are `zoo/<environment>/payoffs/<arguments>.json`.
    """
    found = {}
    for folder in agent_folders(zoo):
        spec = AgentSpec.read(folder / SPEC_FILE)
        if spec.env_type != GYMNASIUM:
            arguments = complete_env_args(spec.env_id, spec.env_args or {})
            variant = Variant(spec.env_id, arguments)
            file = zoo / spec.env_id / PAYOFFS_FOLDER / f"{variant.name}.json"
            found[file] = variant
    return found


def contestants(variant: Variant, zoo: Path) -> dict[str, str | None]:
    """Return the policies for an environment: the SHA-256 of the zoo's, else None."""
    specs = [AgentSpec.read(folder / SPEC_FILE) for folder in agent_folders(zoo)]
    files = {spec.id: spec.policy_sha256 for spec in specs}
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
