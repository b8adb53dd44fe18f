#!/usr/bin/env python
r"""Check that all agents in a posggym tree play exactly as they did when verified.

Each agent is created by its id and replays the first episode of its verification; the
return must be bit-identical.

Examples
--------
    verify_registry.py --posggym_tree TREE --specs a/spec.json \
        --verifications a/verification.json --output verification.json
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import write_json
from posggym_es.registration.spec import AgentSpec


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--posggym_tree", type=Path, required=True)
    parser.add_argument("--specs", type=Path, nargs="+", required=True)
    parser.add_argument(
        "--verifications", type=Path, nargs="+", required=True, help="one per spec"
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    cli.use_posggym_tree(args.posggym_tree)
    # This imports posggym, so only now.
    from posggym_es.evaluation.playing import CoPlayers
    from posggym_es.evaluation.verification import (
        VerificationError,
        play_verified_episode,
    )
    from posggym_es.evaluation.verification_report import read_verification

    report = []
    for spec_path, verification_path in zip(
        args.specs, args.verifications, strict=True
    ):
        spec = AgentSpec.read(spec_path)
        verified = read_verification(verification_path)
        seed, expected = verified["seeds"][0], verified["returns"][0]
        co_players = CoPlayers(**verified["company"])
        actual = play_verified_episode(spec, co_players, seed)
        if actual != expected:
            raise VerificationError(
                f"{spec.id}: the episode with seed {seed} returned {actual}, but "
                f"{expected} when the agent was verified"
            )
        print(f"{spec.id}: {actual}")
        report.append({"policy_id": spec.id, "seed": seed, "return": actual})
    write_json(args.output, report)


if __name__ == "__main__":
    cli.run(main)
