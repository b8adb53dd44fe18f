"""The interface of policy sources, which recognise and read files of one kind."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from posggym_es.policies.convertible import ConvertiblePolicy

if TYPE_CHECKING:
    from posggym_es.sources.settings import AgentSettings

# Name of a policy if its source contains only one.
SINGLE_POLICY = "policy"
# Ways to select a policy of a training run.
CHECKPOINTS = ("latest", "best")


class ExtractionError(ValueError):
    """No policy can be selected; the message names the folder and the reason."""


@dataclasses.dataclass(frozen=True)
class PickedPolicy:
    """The selected policy of a training run.

    Parameters
    ----------
    file
        The file that the policy was read from.
    policy
        The policy.
    by_returns
        Whether it was selected by its re-evaluation, whose returns then overestimate
        it.
    """

    file: Path
    policy: ConvertiblePolicy
    by_returns: bool = False


class PolicySource(Protocol):
    """One kind of policy files, such as the checkpoints of a library.

    Sources must not execute anything in a file, because files may be untrusted.
    """

    name: ClassVar[str]
    """Name in the config, such as "sb3"."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """Patterns of its files' names, such as "*.pickle"."""

    def recognises(self, path: Path) -> bool:
        """Return whether an existing file or folder is of this kind."""

    def policies(self, path: Path) -> dict[str, Path]:
        """Return the file or folder of each policy, keyed by its id.

        The id is `SINGLE_POLICY` if the source does not name its policies.

        Raises
        ------
        ValueError
            If there is none; the message names the folder.
        """

    def beside(self, path: Path, settings: AgentSettings) -> list[Path]:
        """Return other files that are read with a recognised file or folder."""

    def read_all(
        self, path: Path, settings: AgentSettings
    ) -> dict[str, ConvertiblePolicy]:
        """Read all policies in a recognised file or folder.

        Parameters
        ----------
        path
            A recognised file or folder.
        settings
            What the files do not say.

        Returns
        -------
        dict
            Policies, keyed by the names of the files to write, without suffix: their
            ids, or `SINGLE_POLICY` if there is only one.

        Raises
        ------
        ValueError
            If a policy is not valid; the message names the file.
        """

    def pick(
        self, path: Path, checkpoint: str, role: str | None, settings: AgentSettings
    ) -> PickedPolicy:
        """Select and read one policy of a training run.

        Parameters
        ----------
        path
            A recognised file or folder.
        checkpoint
            One of `CHECKPOINTS`.
        role
            The agent id that the policy plays; None for all agents.
        settings
            What the files do not say.

        Raises
        ------
        ValueError
            If there is no policy, or it is not valid; the message names the file.
        """


class SinglePolicySource(abc.ABC):
    """A `PolicySource` of files or folders with one policy each, alone."""

    def policies(self, path: Path) -> dict[str, Path]:
        """Return the file or folder, which has one policy; see `PolicySource`."""
        return {SINGLE_POLICY: path}

    def beside(self, path: Path, settings: AgentSettings) -> list[Path]:
        """Return no files; see `PolicySource`."""
        return []

    def read_all(
        self, path: Path, settings: AgentSettings
    ) -> dict[str, ConvertiblePolicy]:
        """Read the latest policy; see `PolicySource`."""
        return {SINGLE_POLICY: self.pick(path, "latest", None, settings).policy}

    @abc.abstractmethod
    def pick(
        self, path: Path, checkpoint: str, role: str | None, settings: AgentSettings
    ) -> PickedPolicy:
        """Select and read one policy; see `PolicySource`."""


def refuse_settings(
    path: Path, settings: AgentSettings, allowed: Collection[str] = ()
) -> None:
    """Refuse settings for a file that says everything itself, but the allowed ones.

    Raises
    ------
    ExtractionError
        Naming the file and the settings.
    """
    given = [key for key in settings.given() if key not in allowed]
    if given:
        raise ExtractionError(
            f"{path}: says everything about its agent itself; leave out "
            f"{', '.join(given)}"
        )
