"""The identity of a registered agent: ids, paths and processors, in one place.

Everything downstream of training (staging, registration, verification, docs) asks an
`AgentSpec` where a file belongs and what an id is called; nothing else computes them.
"""

from __future__ import annotations

import dataclasses
import keyword
import re
from pathlib import PurePosixPath
from typing import Any

# The models repository and a posggym tree keep the same layout below these folders.
MODELS_ROOT = PurePosixPath("posggym/agents")
ASSETS_ROOT = PurePosixPath("posggym/assets/agents")

# POSGGym's own grammar (posggym.agents.registration.POLICY_ID_RE), narrowed to what
# is also a portable file name.
POLICY_NAME_RE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
ENV_ID_RE = re.compile(r"[\w-]+-v\d+")
PATH_PART_RE = re.compile(r"[a-z][a-z0-9_]*")
ENV_ARGS_ID_RE = re.compile(r"[A-Za-z0-9_][^\s/\\]*")

PROCESSORS = ("IdentityProcessor", "FlattenProcessor", "RescaleProcessor")


@dataclasses.dataclass(frozen=True)
class ProcessorSpec:
    """A processor of `posggym.agents.utils.processors`, by name and config.

    Parameters
    ----------
    name
        Class name: "IdentityProcessor", "FlattenProcessor" or "RescaleProcessor".
    config
        Keyword arguments of the class besides the space.
    """

    name: str
    config: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in PROCESSORS:
            raise ValueError(
                f"unknown processor {self.name!r}; "
                f"choose one of {', '.join(PROCESSORS)}"
            )


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

    Raises
    ------
    ValueError
        If a part would break POSGGym's id grammar or leave its folder.
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

    def __post_init__(self) -> None:
        for what, value, pattern in (
            ("environment id", self.env_id, ENV_ID_RE),
            ("policy name", self.policy_name, POLICY_NAME_RE),
            ("environment type", self.env_type, PATH_PART_RE),
            ("environment name", self.env_name, PATH_PART_RE),
        ):
            if not pattern.fullmatch(value):
                raise ValueError(
                    f"{what} {value!r} is not allowed; "
                    f"it has to match {pattern.pattern}"
                )
        for part in (self.env_type, self.env_name):
            if keyword.iskeyword(part):
                raise ValueError(
                    f"{part!r} is not allowed as a folder: Python cannot import it"
                )
        if re.search(r"-v\d+$", self.policy_name):
            raise ValueError(
                f"policy name {self.policy_name!r} ends like a version; "
                "set `version` instead"
            )
        if self.version < 0:
            raise ValueError(f"version {self.version} is negative")
        if self.valid_agent_ids is not None and not self.valid_agent_ids:
            raise ValueError("valid_agent_ids is empty; leave it out for all agents")
        args_id = self.env_args_id
        if args_id is not None and not ENV_ARGS_ID_RE.fullmatch(args_id):
            raise ValueError(
                f"env_args give the id {args_id!r}, which cannot be a folder name; "
                "use values without spaces, slashes or backslashes"
            )

    @property
    def env_args_id(self) -> str | None:
        """POSGGym's name of the arguments: `k1=v1-k2=v2`, or None without any."""
        if self.env_args is None:
            return None
        # posggym.agents.registration.get_env_args_id, without importing posggym: the
        # Snakefile computes ids at start-up. A test holds the two together.
        return "-".join(f"{k}={v}" for k, v in self.env_args.items()).replace(" ", "")

    @property
    def id(self) -> str:
        """Full policy id: `<env id>/[<env args id>/]<policy name>-v<version>`."""
        parts = [self.env_id, self.env_args_id, f"{self.policy_name}-v{self.version}"]
        return "/".join(part for part in parts if part is not None)

    @property
    def asset(self) -> PurePosixPath:
        """Path of the policy file below `MODELS_ROOT` and `ASSETS_ROOT`.

        Version 0 lies where POSGGym's own files lie. POSGGym takes the policy's name
        from the file's stem, so later versions go into a folder of their own and leave
        the file of the earlier one in place.
        """
        folder = PurePosixPath(self.env_type) / self.env_name
        if self.env_args_id is not None:
            folder /= self.env_args_id
        if self.version > 0:
            folder /= f"v{self.version}"
        return folder / f"{self.policy_name}.pkl"

    @property
    def module(self) -> str:
        """The posggym module that holds this environment's `policy_specs`."""
        return f"posggym.agents.{self.env_type}.{self.env_name}"

    def to_json(self) -> dict[str, Any]:
        """Plain data for a JSON file (tuples in `env_args` are kept, tagged)."""
        data = dataclasses.asdict(self)
        data["env_args"] = _tag_tuples(self.env_args)
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> AgentSpec:
        """Inverse of `to_json`."""
        return cls(
            **{
                **data,
                "env_args": _untag_tuples(data["env_args"]),
                "obs_processor": ProcessorSpec(**data["obs_processor"]),
                "action_processor": ProcessorSpec(**data["action_processor"]),
            }
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
