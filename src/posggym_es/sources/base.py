"""What a source of policies offers: files that it recognises, and how they are read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

from posggym_es.policies.convertible import ConvertiblePolicy

# Name of the files for the policy of a source that holds a single one.
SINGLE_POLICY = "policy"
# Which policy of a training run can be asked for.
CHECKPOINTS = ("latest", "best")


class ExtractionError(ValueError):
    """There is no policy to pick; the message names the folder and why."""


@dataclasses.dataclass(frozen=True)
class PickedPolicy:
    """The policy that represents a training run.

    Parameters
    ----------
    file
        The file that it was read from.
    policy
        What is in it.
    by_returns
        Whether it was chosen as the best of many re-evaluations. Then their returns are
        those of luck, too, and say too much of it.
    """

    file: Path
    policy: ConvertiblePolicy
    by_returns: bool = False


class PolicySource(Protocol):
    """One kind of files with policies, such as the checkpoints of a library.

    A reader executes nothing that a file holds: it may be somebody else's.
    """

    files: str
    """What its files are called, for messages: "*.pickle"."""

    def recognises(self, path: Path) -> bool:
        """Return whether an existing file or folder is of this kind."""

    def read_all(self, path: Path) -> dict[str, ConvertiblePolicy]:
        """Read the policies of a file or folder that is recognised.

        Returns
        -------
        dict
            By the names of the files to write, without suffix: the ids of policies, or
            `SINGLE_POLICY` for the only one.

        Raises
        ------
        ValueError
            If one cannot be used; the message names the file.
        """

    def pick(self, path: Path, checkpoint: str, role: str | None) -> PickedPolicy:
        """Read the policy that represents a training run.

        Parameters
        ----------
        path
            A file or folder that is recognised.
        checkpoint
            One of `CHECKPOINTS`.
        role
            The agent id that the policy plays; None for all, or the only one.

        Raises
        ------
        ValueError
            If there is none, or it cannot be used; the message names the file.
        """
