"""Sources of files with one policy each."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pgpelib.foreign.safe_pickle import ForeignFileError
from posggym_es.policies.convertible import ConvertiblePolicy
from posggym_es.sources.base import ExtractionError, PickedPolicy
from posggym_es.sources.settings import AgentSettings, settings_files
from posggym_es.tasks.family import RANDOM_POLICY


@contextlib.contextmanager
def named_errors(path: Path, kind: str) -> Iterator[None]:
    """Name the file in errors of what is read from it.

    Parameters
    ----------
    path
        The file.
    kind
        What it should be, such as "a state dict".

    Raises
    ------
    ExtractionError
        For a file of another kind, and for one that cannot be expressed.
    """
    try:
        yield
    except ExtractionError:
        raise
    except ForeignFileError as error:
        raise ExtractionError(f"{path}: not {kind}: {error}") from error
    except ValueError as error:
        raise ExtractionError(f"{path}: {error}") from error


class CheckpointSource(abc.ABC):
    """A `PolicySource` of files with one policy each, which has no re-evaluations.

    The best policy is the only one, and plays its role among random policies.
    """

    name: ClassVar[str]
    patterns: ClassVar[tuple[str, ...]]

    @abc.abstractmethod
    def recognises_file(self, path: Path) -> bool:
        """Return whether a file is of this kind."""

    @abc.abstractmethod
    def read(self, path: Path, settings: AgentSettings) -> ConvertiblePolicy:
        """Read the policy of a file.

        Raises
        ------
        ValueError
            If it is not valid; the message names the file.
        """

    def recognises(self, path: Path) -> bool:
        """Return whether a file, or the first of a folder, is of this kind."""
        if path.is_dir():
            first = next(self._files_in(path), None)
            return first is not None and self.recognises_file(first)
        return self.recognises_file(path)

    def policies(self, path: Path) -> dict[str, Path]:
        """Return the file of each policy; see `PolicySource`."""
        if not path.is_dir():
            return {path.stem: path}
        found = [file for file in self._files_in(path) if self.recognises_file(file)]
        if not found:
            known = ", ".join(self.patterns)
            raise ExtractionError(f"{path}: holds no checkpoints ({known})")
        return {file.stem: file for file in found}

    def beside(self, path: Path, settings: AgentSettings) -> list[Path]:
        """Return the files with settings; see `PolicySource`."""
        return settings_files(path)

    def read_all(
        self, path: Path, settings: AgentSettings
    ) -> dict[str, ConvertiblePolicy]:
        """Read all policies; see `PolicySource`."""
        return {
            policy_id: self.read(file, settings)
            for policy_id, file in self.policies(path).items()
        }

    def pick(
        self, path: Path, checkpoint: str, role: str | None, settings: AgentSettings
    ) -> PickedPolicy:
        """Read the only policy, which plays the role; see `PolicySource`."""
        found = self.policies(path)
        if len(found) > 1:
            raise ExtractionError(
                f"{path}: holds the policies {', '.join(found)}; name the file of "
                "one instead of the folder"
            )
        (file,) = found.values()
        policy = self.read(file, settings)
        metadata = dataclasses.replace(
            policy.metadata,
            role=role,
            partners=[] if role is None else [RANDOM_POLICY],
            # Written to files whether or not there is one.
            stated=(*policy.metadata.stated, "role"),
        )
        return PickedPolicy(file, policy.with_metadata(metadata))

    def _files_in(self, folder: Path) -> Iterator[Path]:
        for pattern in self.patterns:
            yield from sorted(folder.glob(pattern))
