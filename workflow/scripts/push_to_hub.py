#!/usr/bin/env python
"""Publish an agent on Hugging Face's hub, with a card.

The token comes from the environment (HF_TOKEN) or from `hf auth login`. Needs the hub's
client: pip install 'posggym-es[hub]'.

Examples
--------
    push_to_hub.py results/lunarlander/seed0 --repo_id me/lander --dry_run
    push_to_hub.py zoo/Driving-v1/driving/seed3 --repo_id me/driving --private
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from posggym_es.workflow import cli
from posggym_es.evaluation.verified_agent import CARD_FILE
from posggym_es.publishing.hub import push_to_hub, stage_for_hub


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("folder", type=Path, help="folder of the agent")
    parser.add_argument("--repo_id", required=True, metavar="USER/NAME")
    parser.add_argument(
        "--private", action="store_true", help="make a new repository private"
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="only show what would be uploaded"
    )
    args = parser.parse_args()
    if not args.dry_run:
        print(push_to_hub(args.folder, args.repo_id, args.private))
        return
    with tempfile.TemporaryDirectory() as staged:
        files = stage_for_hub(args.folder, args.repo_id, Path(staged))
        print(f"would upload to {args.repo_id}:")
        for name in files:
            print(f"  {name}, {(Path(staged) / name).stat().st_size:,} bytes")
        print((Path(staged) / CARD_FILE).read_text(encoding="utf-8"))


if __name__ == "__main__":
    cli.run(main)
