"""The interface of policy sources, which recognise and read files of one kind."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol

from posggym_es.policies.convertible import ConvertiblePolicy

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

    files: str
    """Pattern of its files' names for messages, such as "*.pickle"."""

    def recognises(self, path: Path) -> bool:
        """Return whether an existing file or folder is of this kind."""

    def read_all(self, path: Path) -> dict[str, ConvertiblePolicy]:
        """Read all policies in a recognised file or folder.

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

    def pick(self, path: Path, checkpoint: str, role: str | None) -> PickedPolicy:
        """Select and read one policy of a training run.

        Parameters
        ----------
        path
            A recognised file or folder.
        checkpoint
            One of `CHECKPOINTS`.
        role
            The agent id that the policy plays; None for all agents.

        Raises
        ------
        ValueError
            If there is no policy, or it is not valid; the message names the file.
        """
