"""Print the properties of all rules of the workflow as JSON, keyed by rule.

    python tests/helpers/list_rules.py SNAKEFILE

It runs in a process and a folder of its own: Snakemake changes both.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.settings.types import OutputSettings, Quietness, ResourceSettings


def main() -> None:
    """Print the rules."""
    snakefile = Path(sys.argv[1])
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(ResourceSettings(cores=1), snakefile=snakefile)
        # Reads the Snakefile. Snakemake has no public list of rules.
        _ = workflow.dag
        rules = {
            rule.name: {
                "described": bool(rule.docstring),
                "runs": rule.shellcmd is not None,
                "output": len(rule.output) > 0,
                "log": len(rule.log) > 0,
                "benchmark": bool(rule.benchmark),
                "conda": rule.conda_env,
                "resources": sorted(rule.resources),
            }
            for rule in workflow._workflow.rules
        }
    print(json.dumps(rules))


if __name__ == "__main__":
    main()
