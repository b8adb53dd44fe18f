#!/usr/bin/env python
r"""Create a registered agent by its id from a posggym tree, and play full episodes.

The agent's mean return must match that of the trained policy, within the difference
that can be explained by chance. Writes a JSON report; an error has both mean returns.

Examples
--------
    verify_agent.py --posggym_tree TREE --spec spec.json --policy_dir EXTRACTED \
        --output verification.json
"""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from posggym_es.workflow import cli
from pgpelib.utils.files import write_json
from posggym_es.registration.spec import AgentSpec


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--posggym_tree", type=Path, required=True)
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--policy_dir", type=Path, required=True)
    parser.add_argument(
        "--siblings",
        type=Path,
        nargs="*",
        default=[],
        help="specs of agents that were trained together with this one",
    )
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    cli.use_posggym_tree(args.posggym_tree)
    # These import posggym, so only now.
    from posggym_es.evaluation.playing import co_players_of
    from posggym_es.evaluation.verification import verify
    from posggym_es.policies.policy_file import read_metadata

    spec, *siblings = (AgentSpec.read(path) for path in (args.spec, *args.siblings))
    metadata = read_metadata(args.policy_dir)
    reference = metadata.extracted_reference
    with tqdm(total=len(reference.seeds), unit="episode", disable=None) as bar:
        co_players = co_players_of(metadata, siblings)
        result = verify(spec, reference, co_players, lambda *_: bar.update())
    write_json(args.output, result.to_json())
    print(result)


if __name__ == "__main__":
    cli.run(main)
