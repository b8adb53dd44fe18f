"""Command (`python -m`) to verify an agent of the imported posggym.

Its arguments are the agent's spec as JSON, the folder of its extracted policy, and the
report to write.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pgpelib.utils.files import write_json
from posggym_es.evaluation.playing import co_players_of
from posggym_es.evaluation.verification import verify
from posggym_es.policies.policy_file import read_metadata
from posggym_es.registration.spec import AgentSpec


def main(spec_json: str, policy_dir: str, report: str) -> None:
    """Verify an agent and write the report; exit with the reason on failure."""
    spec = AgentSpec.from_json(json.loads(spec_json))
    metadata = read_metadata(Path(policy_dir))
    try:
        result = verify(spec, metadata.extracted_reference, co_players_of(metadata))
    except (ValueError, RuntimeError) as error:
        sys.exit(str(error))
    write_json(Path(report), result.to_json())


if __name__ == "__main__":
    main(*sys.argv[1:])
