"""Publish an agent on Hugging Face's hub, with a card.

The token comes from the environment (HF_TOKEN) or from `hf auth login`.

Examples
--------
  posggym-es push-to-hub results/lunarlander/seed0 --repo_id me/lander --dry_run
  posggym-es push-to-hub zoo/Driving-v1/driving/seed3 --repo_id me/driving --private
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

EXTRA = "hub"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("folder", type=Path, help="folder of the agent")
    parser.add_argument("--repo_id", required=True, metavar="USER/NAME")
    parser.add_argument(
        "--private", action="store_true", help="make a new repository private"
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="only show what would be uploaded"
    )


def main(args: argparse.Namespace) -> None:
    """Upload, and print the address; or print what would be uploaded."""
    from posggym_es.evaluation.verified_agent import CARD_FILE
    from posggym_es.publishing.hub import push_to_hub, stage_for_hub

    if not args.dry_run:
        print(push_to_hub(args.folder, args.repo_id, args.private))
        return
    with tempfile.TemporaryDirectory() as staged:
        files = stage_for_hub(args.folder, args.repo_id, Path(staged))
        print(f"would upload to {args.repo_id}:")
        for name in files:
            print(f"  {name}, {(Path(staged) / name).stat().st_size:,} bytes")
        print((Path(staged) / CARD_FILE).read_text(encoding="utf-8"))
