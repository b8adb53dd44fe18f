#!/usr/bin/env python
r"""Write the spec of a converted policy: its id, paths, processors and description.

Examples
--------
    make_agent_spec.py --policy_dir EXTRACTED --converted_dir CONVERTED \
        --settings '{"policy_name": "pgpe"}' --output spec.json
"""

from __future__ import annotations

from pathlib import Path

from posggym_es.workflow import cli
from pgpelib.utils.files import write_json
from posggym_es.conversion.report import read_conversion
from posggym_es.policies.policy_file import read_policy
from posggym_es.registration.spec_making import agent_spec


def main() -> None:
    """Run the command line."""
    parser = cli.parser(__doc__)
    parser.add_argument("--policy_dir", type=Path, required=True)
    parser.add_argument("--converted_dir", type=Path, required=True)
    parser.add_argument(
        "--settings",
        type=cli.json_argument,
        required=True,
        help="JSON with the config's `register` settings",
    )
    parser.add_argument("--output", type=Path, required=True)
    cli.add_env_module_argument(parser)
    args = parser.parse_args()
    converted = read_conversion(args.converted_dir)
    spec = agent_spec(
        read_policy(args.policy_dir, args.env_module),
        converted.obs_processor,
        converted.action_processor,
        args.settings,
        converted.sha256,
    )
    write_json(args.output, spec.to_json())
    print(spec.id)


if __name__ == "__main__":
    cli.run(main)
