"""The spec of a registered agent: its id, paths and processors.

All steps after training (staging, registration, verification, docs) use an `AgentSpec`
for ids and paths, which are computed only here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import keyword
import re
from pathlib import Path, PurePosixPath
from typing import Any

from pgpelib.utils.settings import FieldError
from posggym_es.models.processors import PROCESSOR_SCHEMA, ProcessorSpec
from posggym_es.utils.schema_check import read_as, refuse_mistakes

# How an agent is registered, in its folder.
SPEC_FILE = "spec.json"

# The models repository and posggym have the same layout below these folders.
MODELS_ROOT = PurePosixPath("posggym/agents")
ASSETS_ROOT = PurePosixPath("posggym/assets/agents")

# POSGGym's own grammar (posggym.agents.registration.POLICY_ID_RE), narrowed to what
# is also a portable file name.
POLICY_NAME_RE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
ENV_ID_RE = re.compile(r"[\w-]+-v\d+")
PATH_PART_RE = re.compile(r"[a-z][a-z0-9_]*")
# Braces and control characters are special to Snakemake and to terminals.
ENV_ARGS_ID_RE = re.compile(r"[A-Za-z0-9_][^\s/\\{}\x00-\x1f\x7f]*")
# In bytes, on all usual file systems.
_LONGEST_NAME = 255

_AGENT_PROPERTIES = {
    "env_id": {"type": "string"},
    "env_args": {"type": ["object", "null"]},
    "env_type": {"type": "string"},
    "env_name": {"type": "string"},
    "policy_name": {"type": "string"},
    "version": {"type": "integer", "minimum": 0},
    "valid_agent_ids": {
        "type": ["array", "null"],
        "minItems": 1,
        "items": {"type": "string"},
    },
    "description": {"type": "string"},
    "obs_processor": PROCESSOR_SCHEMA,
    "action_processor": PROCESSOR_SCHEMA,
    "deterministic": {"type": "boolean"},
    "policy_sha256": {"type": ["string", "null"], "pattern": r"^[0-9a-f]{64}\Z"},
    "env_args_id": {"type": ["string", "null"]},
    "folder": {"type": ["string", "null"]},
}
# Keys with a default, which specs written by earlier versions may lack.
_OPTIONAL = ("deterministic", "policy_sha256", "env_args_id", "folder")
_AGENT_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": [name for name in _AGENT_PROPERTIES if name not in _OPTIONAL],
    "properties": _AGENT_PROPERTIES,
}


@dataclasses.dataclass(frozen=True)
class AgentSpec:
    """A policy as it is registered in POSGGym.

    Parameters
    ----------
    env_id
        POSGGym environment id, e.g. "DrivingContinuous-v0".
    env_args
        Keyword arguments of `posggym.make` that the policy is for; None if it can be
        used with any arguments.
    env_type, env_name
        Folder names, e.g. "continuous" and "driving_continuous".
    policy_name
        Name in the id, and stem of the policy file.
    version
        Version in the id.
    valid_agent_ids
        Agents that the policy can play; None for all.
    description
        One sentence for the registry and the docs.
    obs_processor, action_processor
        Processors between the environment and the network.
    deterministic
        Whether the policy always acts the same way after the same observations.
    policy_sha256
        SHA-256 of the policy file whose conversion was proved, in hexadecimal; None if
        there is no file yet. Ignored when specs are compared.
    env_args_id
        POSGGym's name of the arguments; None for `k1=v1-k2=v2`.
    folder
        Folder of the policy file in that of the environment; None for the
        `env_args_id`, from which some of POSGGym's own agents differ.

    Raises
    ------
    ValueError
        If a value has the wrong type, does not match POSGGym's id grammar, or would
        lead out of its folder.
    """

    env_id: str
    env_args: dict[str, Any] | None
    env_type: str
    env_name: str
    policy_name: str
    version: int
    valid_agent_ids: list[str] | None
    description: str
    obs_processor: ProcessorSpec
    action_processor: ProcessorSpec
    deterministic: bool = True
    policy_sha256: str | None = dataclasses.field(default=None, compare=False)
    env_args_id: str | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        if self.env_args_id is None and self.env_args is not None:
            object.__setattr__(self, "env_args_id", default_args_id(self.env_args))
        if self.folder is None:
            object.__setattr__(self, "folder", self.env_args_id)
        refuse_mistakes(self.to_json(), _AGENT_SCHEMA)
        _check_match("environment id", self.env_id, ENV_ID_RE)
        check_folder("environment type", self.env_type)
        check_folder("environment name", self.env_name)
        check_policy_name(self.policy_name)
        if (self.env_args is None) != (self.env_args_id is None):
            raise ValueError(
                f"env_args_id {self.env_args_id!r} needs env_args that it stands for"
            )
        for name in {self.env_args_id, self.folder} - {None}:
            if not ENV_ARGS_ID_RE.fullmatch(str(name)):
                raise ValueError(
                    f"env_args give the id {name!r}, which cannot be a folder name; "
                    "use values without spaces, slashes, backslashes or braces"
                )
        for part in self.asset.parts:
            size = len(part.encode())
            if size > _LONGEST_NAME:
                raise ValueError(
                    f"{part!r} is too long for a file name: {size} bytes, at most "
                    f"{_LONGEST_NAME}; use a shorter policy_name or shorter env_args"
                )

    @property
    def id(self) -> str:
        """Full policy id: `<env id>/[<env args id>/]<policy name>-v<version>`."""
        parts = [self.env_id, self.env_args_id, f"{self.policy_name}-v{self.version}"]
        return "/".join(part for part in parts if part is not None)

    @property
    def asset(self) -> PurePosixPath:
        """Path of the policy file below `MODELS_ROOT` and `ASSETS_ROOT`.

        Version 0 is where POSGGym's own files are. Because POSGGym uses the file's stem
        as the policy's name, later versions are in separate folders.
        """
        folder = PurePosixPath(self.env_type) / self.env_name
        if self.folder is not None:
            folder /= self.folder
        if self.version > 0:
            folder /= f"v{self.version}"
        return folder / f"{self.policy_name}.pkl"

    @property
    def module(self) -> str:
        """The posggym module with the `policy_specs` of the agent's environment."""
        return f"posggym.agents.{self.env_type}.{self.env_name}"

    def policy_bytes(self, file: Path) -> bytes:
        """Read and check the agent's policy file; all steps read it with this method.

        Raises
        ------
        ValueError
            If it is not the file whose conversion was proved; the message names the
            file and the agent.
        """
        data = file.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if self.policy_sha256 not in (None, found):
            raise ValueError(
                f"{file}: not the policy that was proved for {self.id}: its SHA-256 is "
                f"{found}, not {self.policy_sha256}; remove the file and run again"
            )
        return data

    def to_json(self) -> dict[str, Any]:
        """Return plain data for a JSON file (tuples in `env_args` are tagged)."""
        data = dataclasses.asdict(self)
        data["env_args"] = _tag_tuples(self.env_args)
        return data

    @classmethod
    def from_json(cls, data: Any) -> AgentSpec:
        """Create a spec from data, the inverse of `to_json`.

        Raises
        ------
        ValueError
            If the data do not describe an agent.
        """
        refuse_mistakes(data, _AGENT_SCHEMA)
        return cls(
            **{
                **data,
                "env_args": _untag_tuples(data["env_args"]),
                "obs_processor": ProcessorSpec.from_json(data["obs_processor"]),
                "action_processor": ProcessorSpec.from_json(data["action_processor"]),
            }
        )

    @classmethod
    def read(cls, path: Path) -> AgentSpec:
        """Read the JSON file of an agent.

        Raises
        ------
        ValueError
            If the file does not describe an agent; the message names it.
        """
        return read_as(path, "not the spec of an agent", cls.from_json)


def default_args_id(env_args: dict[str, Any]) -> str:
    """Return POSGGym's default name of environment arguments.

    This is `posggym.agents.registration.get_env_args_id`, without importing posggym.
    """
    return "-".join(f"{k}={v}" for k, v in env_args.items()).replace(" ", "")


def check_policy_name(name: str) -> None:
    """Check that POSGGym can register a name, and that it is a valid file name.

    Raises
    ------
    FieldError
        If the name is not valid.
    """
    if not POLICY_NAME_RE.fullmatch(name):
        text = f"must match {POLICY_NAME_RE.pattern}, not {name!r}"
        raise FieldError("policy_name", text)
    if re.search(r"-v\d+\Z", name):
        text = f"{name!r} ends like a version; set version instead"
        raise FieldError("policy_name", text)


def check_folder(what: str, name: str) -> None:
    """Check that a folder name is a valid name of a Python module.

    Raises
    ------
    ValueError
        If it is not; `what` names it in the message.
    """
    _check_match(what, name, PATH_PART_RE)
    if keyword.iskeyword(name):
        raise ValueError(f"{what} {name!r} is not allowed: Python cannot import it")


def _check_match(what: str, value: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(value):
        raise ValueError(
            f"{what} {value!r} is not allowed; it must match {pattern.pattern}"
        )


def _tag_tuples(value: Any) -> Any:
    """Tag tuples for JSON: `(3,1,1)` and `[3,1,1]` give different ids."""
    if isinstance(value, tuple):
        return {"__tuple__": [_tag_tuples(item) for item in value]}
    if isinstance(value, list):
        return [_tag_tuples(item) for item in value]
    if isinstance(value, dict):
        return {key: _tag_tuples(item) for key, item in value.items()}
    return value


def _untag_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"__tuple__"}:
            return tuple(_untag_tuples(item) for item in value["__tuple__"])
        return {key: _untag_tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_untag_tuples(item) for item in value]
    return value
