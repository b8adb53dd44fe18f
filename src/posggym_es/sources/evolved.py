"""Policies saved by this trainer or by the original pgpelib, as pickles."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pgpelib.policies.metadata import comparable_mean
from pgpelib.policies.partners import SAVED_SUFFIX
from posggym_es.sources.base import (
    CHECKPOINTS,
    ExtractionError,
    PickedPolicy,
    SinglePolicySource,
    refuse_settings,
)
from posggym_es.sources.settings import AgentSettings

if TYPE_CHECKING:
    from posggym_es.policies.convertible import ConvertiblePolicy

_PATTERN = f"*{SAVED_SUFFIX}"


class EvolvedPolicies(SinglePolicySource):
    """Files that `pgpelib.restore.load_policy` reads, and folders of them."""

    name: ClassVar[str] = "pgpelib"
    patterns: ClassVar[tuple[str, ...]] = (_PATTERN,)

    def recognises(self, path: Path) -> bool:
        """Return whether a path is a file, or a folder with pickles."""
        return path.is_file() or any(path.glob(_PATTERN))

    def pick(
        self, path: Path, checkpoint: str, role: str | None, settings: AgentSettings
    ) -> PickedPolicy:
        """Read the latest policy of a role or the best one; see `PolicySource`."""
        refuse_settings(path, settings)
        file, policy = _pick(path, checkpoint, role)
        # The trainer that keeps its best center has chosen by re-evaluations as well.
        return PickedPolicy(
            file, policy, checkpoint == "best" or policy.metadata.keeps_best
        )


def _pick(
    source: Path, checkpoint: str, role: str | None
) -> tuple[Path, ConvertiblePolicy]:
    # On demand: the workflow, which only looks for policies, does not need PyTorch.
    from pgpelib.restore import load_policy
    from posggym_es.policies.evolved import convertible

    files = [source] if source.is_file() else sorted(source.glob(_PATTERN))
    policies = [(path, convertible(load_policy(path))) for path in files]
    if len(policies) == 1:
        return policies[0]
    for path, policy in policies:
        if policy.metadata.generation is None:
            raise ExtractionError(
                f"{path}: does not say which generation it is of; name the policy file "
                "instead of the folder"
            )
    own = [item for item in policies if item[1].metadata.role == role]
    if not own:
        roles = sorted({str(policy.metadata.role) for _, policy in policies})
        raise ExtractionError(
            f"{source}: holds policies for the roles {', '.join(roles)}; choose one"
        )
    return max(own, key=lambda item: _rank(item[1], checkpoint))


def _rank(policy: ConvertiblePolicy, checkpoint: str) -> tuple[float, int]:
    generation = policy.metadata.generation or 0
    if checkpoint == "latest":
        return 0.0, generation
    if checkpoint == "best":
        return comparable_mean(policy.metadata.re_eval_returns), generation
    raise ExtractionError(
        f"unknown checkpoint {checkpoint!r}; choose one of {', '.join(CHECKPOINTS)}"
    )
