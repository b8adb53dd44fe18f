#!/usr/bin/env python
r"""Check that agents can be registered in POSGGym, before they are trained.

Checks that their environments can be created, that their ids are valid and not taken,
and that the installed posggym can be extended. Prints the ids.

Examples
--------
    check_planned_agents.py --agents \
        '[{"entry": "experiments.lander", "settings": {"policy_name": "pgpe"},
           "train": {"env_name": "LunarLanderContinuous-v2"}}]'
"""

from __future__ import annotations

from posggym_es.workflow import cli
from posggym_es.config.preflight import check_planned, planned_agents


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--agents",
        type=cli.json_of(planned_agents),
        required=True,
        help="JSON list with experiment, `train` and `register` settings of each agent",
    )
    args = parser.parse_args()
    for spec in check_planned(args.agents):
        print(spec.id)


if __name__ == "__main__":
    cli.run(main)
