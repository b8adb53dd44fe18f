"""Metadata of policies: their training, their provenance and their results.

Policy files store it as a dictionary called `notes`, which `PolicyMetadata.from_notes`
checks and converts when a file is read, and `PolicyMetadata.to_notes` creates when one
is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pgpelib.policies.partners import located, relative
from pgpelib.utils.plain_data import is_integer, is_line, plain


def comparable_mean(returns: Sequence[float] | None) -> float:
    """Return the mean of returns; minus infinity if it is NaN or there are no returns.

    NaN itself cannot be compared: the result would depend on the order of operands.
    """
    mean = float(np.mean(returns)) if returns else -np.inf
    return -np.inf if np.isnan(mean) else mean


@dataclasses.dataclass(frozen=True)
class Reference:
    """Returns of a policy before its conversion, to compare the registered agent with.

    Parameters
    ----------
    returns
        Return of each episode.
    seeds
        Seed of each episode.

    Raises
    ------
    ValueError
        If these are not lists of numbers of the same length.
    """

    returns: list[float]
    seeds: list[int]

    def __post_init__(self) -> None:
        if (
            not _are_numbers(self.returns)
            or not _are_numbers(self.seeds)
            or len(self.returns) != len(self.seeds)
        ):
            raise ValueError("reference does not have one seed per return")


@dataclasses.dataclass(frozen=True)
class Origin:
    """The file that a policy was extracted from.

    Parameters
    ----------
    file
        Name of the file, without folders.
    sha256
        SHA-256 of the file's content, in hexadecimal.

    Raises
    ------
    ValueError
        If either is not a single line of text.
    """

    file: str
    sha256: str

    def __post_init__(self) -> None:
        if not is_line(self.file) or not is_line(self.sha256):
            raise ValueError("origin is not a file's name and its SHA-256")


@dataclasses.dataclass(frozen=True)
class PolicyMetadata:
    """Metadata of a policy; None if unknown or not applicable.

    Parameters
    ----------
    generation
        Number of completed generations when the policy was saved.
    role
        The agent id that the policy plays; None if it plays all agents.
    timesteps
        Simulator steps of training until then.
    seed
        Seed of the training run.
    commit
        Commit of this project that trained the policy.
    config
        Settings of the trainer, as plain data.
    re_eval_env_name
        The environment of re-evaluations, which agents are registered for.
    re_eval_returns
        Returns of the trainer's re-evaluation.
    best_generation
        With `keep_best`, the generation that the policy is the center of.
    algorithm
        Name of the training algorithm, if not this project's.
    policy_id
        Name of the policy in its population.
    update
        Number of the last gradient update of its weights.
    partners
        Who plays the other agents in reference episodes, see
        `pgpelib.policies.partners`, if these are not the partners in `config`.
    origin
        The file that the policy was extracted from.
    reference
        Returns that verification compares with.
    extra
        Unknown keys of the file, as plain data; preserved, but not used.
    stated
        Keys of the file, in order. They are written back even if their value is None.

    Raises
    ------
    ValueError
        If a value has the wrong type; the message names it.
    """

    generation: int | None = None
    role: str | None = None
    timesteps: int | None = None
    seed: int | None = None
    commit: str | None = None
    config: dict[str, Any] | None = None
    re_eval_env_name: str | None = None
    re_eval_returns: list[float] | None = None
    best_generation: int | None = None
    algorithm: str | None = None
    policy_id: str | None = None
    update: int | None = None
    partners: list[str] | dict[str, float] | None = None
    origin: Origin | None = None
    reference: Reference | None = None
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    stated: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name, (is_valid, what) in _FIELDS.items():
            value = getattr(self, name)
            if value is not None and not is_valid(value):
                raise ValueError(f"{name} is not {what}")
        if not _are_partners(self._settings.get("partners", [])):
            raise ValueError(f"config.partners is not {_PARTNERS}")
        if self._settings.get("optimizer", "clipup") not in list(_OPTIMIZERS):
            raise ValueError("config.optimizer is neither clipup nor adam")

    @classmethod
    def from_notes(cls, notes: Any) -> PolicyMetadata:
        """Create metadata from the `notes` of a file.

        Parameters
        ----------
        notes
            A dictionary of plain data.

        Raises
        ------
        ValueError
            If it is not one, or a known key has a value of the wrong type; the message
            names it.
        """
        if not isinstance(notes, dict):
            raise ValueError("the notes are not a dictionary")
        values: dict[str, Any] = plain(notes, "notes")
        known = {name: values[name] for name in _FIELDS if name in values}
        extra = {key: value for key, value in values.items() if key not in _FIELDS}
        try:
            for name, kind in _RECORDS.items():
                if known.get(name) is not None:
                    known[name] = _record(kind, known[name], name)
            return cls(**known, extra=extra, stated=tuple(values))
        except ValueError as error:
            raise ValueError(f"notes.{error}") from error

    def to_notes(self) -> dict[str, Any]:
        """Return the metadata as the `notes` of a file, the inverse of `from_notes`."""
        values: dict[str, Any] = {
            name: dataclasses.asdict(value) if name in _RECORDS and value else value
            for name in _FIELDS
            for value in [getattr(self, name)]
            if value is not None or name in self.stated
        }
        if self.partners is not None:
            values["partners"] = relative(self.partners)
        if "partners" in self._settings:
            partners = relative(self._settings["partners"])
            values["config"] = {**self._settings, "partners": partners}
        values |= self.extra
        order = dict.fromkeys([*self.stated, *values])
        return {key: values[key] for key in order if key in values}

    def located(self, folder: Path) -> PolicyMetadata:
        """Return the metadata of a file in a folder, with the paths of saved partners.

        Files name them relative to their folder, which `to_notes` does again.
        """
        changes: dict[str, Any] = {}
        if self.partners is not None:
            changes["partners"] = located(self.partners, folder)
        if "partners" in self._settings:
            partners = located(self._settings["partners"], folder)
            changes["config"] = {**self._settings, "partners": partners}
        return dataclasses.replace(self, **changes)

    @property
    def extracted_reference(self) -> Reference:
        """The reference, which extraction adds to policies.

        Raises
        ------
        ValueError
            If the policy has no reference.
        """
        if self.reference is None:
            raise ValueError(
                "the policy has no returns to compare with; extract it first"
            )
        return self.reference

    @property
    def played_with(self) -> list[str] | dict[str, float]:
        """Who plays the other agents, as a list or with weights."""
        if self.partners is not None:
            return self.partners
        partners: list[str] | dict[str, float] = self._settings.get("partners", [])
        return partners

    @property
    def partner_ids(self) -> list[str]:
        """The policies that play the other agents; [] for none."""
        return list(self.played_with)

    @property
    def episode_limit(self) -> int | None:
        """The trainer's limit of steps per episode; None for the environment's own."""
        length = self._settings.get("max_episode_length")
        return length if is_integer(length) and length > 0 else None

    @property
    def method(self) -> str | None:
        """Human-readable name of the training algorithm; None if unknown."""
        optimizer = self._settings.get("optimizer")
        return f"PGPE with {_OPTIMIZERS[optimizer]}" if optimizer else self.algorithm

    @property
    def keeps_best(self) -> bool:
        """Whether the trainer saves the center with the best re-evaluation."""
        return self._settings.get("keep_best") is True

    @property
    def re_eval_num_episodes(self) -> int:
        """Number of episodes per re-evaluation by the trainer; 0 if unknown."""
        return int(self._settings.get("re_eval_num_episodes", 0))

    @property
    def _settings(self) -> dict[str, Any]:
        return self.config or {}


_OPTIMIZERS = {"clipup": "ClipUp", "adam": "Adam"}
# Keys that this trainer always writes, even if their value is None.
TRAINING_KEYS = (
    *("generation", "role", "timesteps", "seed", "commit", "config"),
    *("re_eval_env_name", "re_eval_returns"),
)

_RECORDS: dict[str, type[Reference | Origin]] = {
    "origin": Origin,
    "reference": Reference,
}


def _record(
    kind: type[Reference | Origin], value: Any, name: str
) -> Reference | Origin:
    names = [field.name for field in dataclasses.fields(kind)]
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not {' and '.join(names)}")
    values: list[Any] = [value.get(field) for field in names]
    return kind(*values)


def _is_count(value: Any) -> bool:
    return is_integer(value) and value >= 0


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(number, int | float) and not isinstance(number, bool)
        for number in value
    )


def _are_lines(value: Any) -> bool:
    return isinstance(value, list) and all(is_line(item) for item in value)


def _are_partners(value: Any) -> bool:
    if isinstance(value, dict):
        return _are_lines(list(value)) and _are_numbers(list(value.values()))
    return _are_lines(value)


_COUNT = _is_count, "a count"
_PARTNERS = "a list of policy ids or their weights"
_LINE = is_line, "a single line of text"
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "generation": _COUNT,
    "role": _LINE,
    "timesteps": _COUNT,
    "seed": _COUNT,
    "commit": _LINE,
    "config": (lambda value: isinstance(value, dict), "a dictionary"),
    "re_eval_env_name": _LINE,
    "re_eval_returns": (_are_numbers, "a list of numbers"),
    "best_generation": _COUNT,
    "algorithm": _LINE,
    "policy_id": _LINE,
    "update": _COUNT,
    "partners": (_are_partners, _PARTNERS),
    "origin": (lambda value: isinstance(value, Origin), "a file and its SHA-256"),
    "reference": (lambda value: isinstance(value, Reference), "returns and seeds"),
}
