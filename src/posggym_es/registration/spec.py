"""The identity of a registered agent: ids, paths and processors, in one place.

Everything downstream of training (staging, registration, verification, docs) asks an
`AgentSpec` where a file belongs and what an id is called; nothing else computes them.
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

# The models repository and a posggym tree keep the same layout below these folders.
MODELS_ROOT = PurePosixPath("posggym/agents")
ASSETS_ROOT = PurePosixPath("posggym/assets/agents")

# POSGGym's own grammar (posggym.agents.registration.POLICY_ID_RE), narrowed to what
# is also a portable file name.
POLICY_NAME_RE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
ENV_ID_RE = re.compile(r"[\w-]+-v\d+")
PATH_PART_RE = re.compile(r"[a-z][a-z0-9_]*")
# Braces and control characters mean something to Snakemake and to terminals.
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
# What agents have by default, among them those that earlier versions registered.
_OPTIONAL = ("deterministic", "policy_sha256", "env_args_id", "folder")
_AGENT_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": [name for name in _AGENT_PROPERTIES if name not in _OPTIONAL],
    "properties": _AGENT_PROPERTIES,
}


@dataclasses.dataclass(frozen=True)
class AgentSpec:
    """One policy as POSGGym will know it.

    Parameters
    ----------
    env_id
        POSGGym environment id, e.g. "DrivingContinuous-v0".
    env_args
        Keyword arguments of `posggym.make` that the policy is for; None when it fits
        the environment with any arguments.
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
        What stands between the environment and the network.
    deterministic
        Whether the policy always acts the same way after the same observations.
    policy_sha256
        SHA-256 of the policy file whose conversion was proved, in hexadecimal; None
        while there is none. Agents that differ in nothing else are equal.
    env_args_id
        POSGGym's name of the arguments; None for `k1=v1-k2=v2`.
    folder
        Folder of the policy file below those of the environment; None for the
        `env_args_id`. POSGGym's own agents have some that are called otherwise.

    Raises
    ------
    ValueError
        If a part has another type, would break POSGGym's id grammar or leave its
        folder.
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

        Version 0 lies where POSGGym's own files lie. POSGGym takes the policy's name
        from the file's stem, so later versions go into separate folders and leave
        the file of the earlier one in place.
        """
        folder = PurePosixPath(self.env_type) / self.env_name
        if self.folder is not None:
            folder /= self.folder
        if self.version > 0:
            folder /= f"v{self.version}"
        return folder / f"{self.policy_name}.pkl"

    @property
    def module(self) -> str:
        """The posggym module that holds this environment's `policy_specs`."""
        return f"posggym.agents.{self.env_type}.{self.env_name}"

    def policy_bytes(self, file: Path) -> bytes:
        """Read the agent's policy file; whatever takes one over reads it by this.

        Raises
        ------
        ValueError
            If it is another file than the one that was proved; names it and the agent.
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
        """Plain data for a JSON file (tuples in `env_args` are kept, tagged)."""
        data = dataclasses.asdict(self)
        data["env_args"] = _tag_tuples(self.env_args)
        return data

    @classmethod
    def from_json(cls, data: Any) -> AgentSpec:
        """Inverse of `to_json`.

        Raises
        ------
        ValueError
            If the data describe no agent.
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
            If the file describes no agent; the message names it.
        """
        return read_as(path, "describes no agent", cls.from_json)


def default_args_id(env_args: dict[str, Any]) -> str:
    """Return POSGGym's name of arguments where their author gives none.

    `posggym.agents.registration.get_env_args_id`, without importing posggym.
    """
    return "-".join(f"{k}={v}" for k, v in env_args.items()).replace(" ", "")


def check_policy_name(name: str) -> None:
    """Refuse names that POSGGym cannot register, or that leave the target folder.

    Raises
    ------
    FieldError
        Saying what is wrong with the name.
    """
    if not POLICY_NAME_RE.fullmatch(name):
        text = f"must match {POLICY_NAME_RE.pattern}, not {name!r}"
        raise FieldError("policy_name", text)
    if re.search(r"-v\d+\Z", name):
        text = f"{name!r} ends like a version; set version instead"
        raise FieldError("policy_name", text)


def check_folder(what: str, name: str) -> None:
    """Refuse folder names that are not names of Python modules.

    Raises
    ------
    ValueError
        Saying `what` is wrong.
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
    """JSON has no tuples, and `(3,1,1)` and `[3,1,1]` make different ids."""
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
