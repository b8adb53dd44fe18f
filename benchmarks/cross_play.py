"""Speed of cross-play with compiled kernels against POSGGym's own environments.

Two networks of POSGGym's play each other, for each environment that has so many in a
copy of its models repository. Both sides play the same episodes on one core, and load
the policies as each pair of a cross-play does; the kernels are loaded before. Times are
the process's own CPU time.

Example
-------
    python benchmarks/cross_play.py ~/posggym-agent-models
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import posggym.agents
import posggym.config

from posggym_es.evaluation.crossplay import assignments, play_compiled_pair, play_pair
from posggym_es.evaluation.payoffs import Variant
from posggym_es.registration.spec import MODELS_ROOT
from posggym_es.tasks.posggym_envs import PosggymEpisodes


def networks(models: Path) -> dict[str, list[str]]:
    """Return the policies that have a file, by environment and arguments."""
    found: dict[str, list[str]] = {}
    for policy, spec in posggym.agents.registry.items():
        path = spec.kwargs.get("policy_file_path")
        if path is None:
            continue
        file = models / MODELS_ROOT / path.relative_to(posggym.config.AGENT_MODEL_DIR)
        if file.is_file():
            spec.kwargs["policy_file_path"] = file
            found.setdefault(f"{spec.env_id}/{spec.env_args_id}", []).append(policy)
    return found


def seconds(
    play: Callable[..., list[float]], *args: object
) -> tuple[list[float], float]:
    """Return what a call returns, and its CPU time."""
    started = time.process_time()
    returns = play(*args)
    return returns, time.process_time() - started


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models_dir", type=Path, help="copy of POSGGym's models")
    parser.add_argument("--episodes", type=int, default=100)
    args = parser.parse_args()
    print("| Environment | Kernels, s | POSGGym, s | Ratio | Episodes alike |")
    print("| --- | --- | --- | --- | --- |")
    for name, policies in networks(args.models_dir).items():
        spec = posggym.agents.registry[policies[0]]
        variant = Variant(spec.env_id, spec.env_args or {})
        game = PosggymEpisodes(variant.env_id, variant.env_args)
        valid = {p: posggym.agents.registry[p].valid_agent_ids for p in policies}
        row, column = policies[:2]
        parts = assignments(game.env.possible_agents, row, column, valid)
        if not parts:
            continue
        pair = variant, parts, row
        play_compiled_pair(*pair, 1)
        ours, kernels = seconds(play_compiled_pair, *pair, args.episodes)
        own, posggyms = seconds(play_pair, *pair, args.episodes)
        alike = sum(a == b for a, b in zip(ours, own, strict=True))
        print(
            f"| {name} | {kernels:.2f} | {posggyms:.2f} | {posggyms / kernels:.0f} "
            f"| {alike} of {args.episodes} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
