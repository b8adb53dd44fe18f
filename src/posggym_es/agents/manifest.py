"""The list of agents in a models repository, with which they load from its URL.

Policy files in the layout of posggym-agent-models do not say how they are registered.
For POSGGym, its registration code does; for `posggym_es.register_agents`, this list.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pgpelib.utils.files import write_json
from posggym_es.registration.spec import MODELS_ROOT, AgentSpec
from posggym_es.utils.schema_check import read_as, refuse_mistakes

MANIFEST_FILE = "posggym-es.json"

_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["agents"],
    "properties": {
        "agents": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["policy_sha256"],
                "properties": {"policy_sha256": {"type": "string"}},
            },
        }
    },
}


def write_manifest(root: Path, specs: Iterable[AgentSpec]) -> None:
    """List agents, with the SHA-256 of their files, in a models repository.

    Parameters
    ----------
    root
        A working tree of the repository.
    specs
        The agents, in any order. Those without a file are left out; without any agent,
        the list is removed.
    """
    agents = [
        dataclasses.replace(
            spec, policy_sha256=hashlib.sha256(file.read_bytes()).hexdigest()
        ).to_json()
        for spec in sorted(specs, key=lambda spec: spec.id)
        if (file := root / MODELS_ROOT / spec.asset).is_file()
    ]
    if agents:
        write_json(root / MANIFEST_FILE, {"agents": agents})
    else:
        (root / MANIFEST_FILE).unlink(missing_ok=True)


def read_manifest(root: Path) -> list[AgentSpec]:
    """Return the agents listed in a models repository; their files may be missing.

    Raises
    ------
    ValueError
        If the list is damaged, or an agent has no SHA-256; the message names the file.
    """

    def parse(data: Any) -> list[AgentSpec]:
        refuse_mistakes(data, _SCHEMA)
        return [AgentSpec.from_json(agent) for agent in data["agents"]]

    return read_as(root / MANIFEST_FILE, "not a list of agents", parse)
