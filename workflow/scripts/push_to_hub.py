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

from posggym_es.workflow import cli
from posggym_es.commands import push_to_hub


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    push_to_hub.add_arguments(parser)
    push_to_hub.main(parser.parse_args())


if __name__ == "__main__":
    cli.run(main)
