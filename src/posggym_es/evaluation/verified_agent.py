"""Agents with the report of their verification, and their cards.

The folder of an agent has `spec.json`, `verification.json`, `extracted/`, `converted/`,
`film/`, and its card, `README.md`. Such folders are in the results of an experiment, in
the zoo, and on Hugging Face's hub.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pgpelib.policies.partners import PARTNERS_FOLDER, SAVED_SUFFIX, is_saved
from posggym_es.agents.folders import CONVERTED_FOLDER
from posggym_es.agents.loading import agent_of, env_line, short_id
from posggym_es.conversion.report import MODEL_FILE, REPORT_FILE
from posggym_es.evaluation.file_names import (
    EXTRACTED_FOLDER,
    FILM_FOLDER,
    PREVIEW_FILE,
    VERIFICATION_FILE,
)
from posggym_es.evaluation.verification_report import read_verification
from posggym_es.policies.policy_file import METADATA_FILE, TENSORS_FILE
from posggym_es.registration.spec import SPEC_FILE, AgentSpec
from posggym_es.utils.return_statistics import format_interval, mean_interval
from posggym_gymnasium.ids import ENV_TYPE as GYMNASIUM

CARD_FILE = "README.md"
# Of a film only the preview, which Markdown pages can show.
FILM = f"{FILM_FOLDER}/{PREVIEW_FILE}"
_FILES = (
    SPEC_FILE,
    VERIFICATION_FILE,
    f"{EXTRACTED_FOLDER}/{METADATA_FILE}",
    f"{EXTRACTED_FOLDER}/{TENSORS_FILE}",
    f"{CONVERTED_FOLDER}/{MODEL_FILE}",
    f"{CONVERTED_FOLDER}/{REPORT_FILE}",
    FILM,
)
# Maximum number of co-players that are named.
_MOST_NAMED = 3


@dataclasses.dataclass(frozen=True)
class VerifiedAgent:
    """An agent, and how it was verified.

    Parameters
    ----------
    folder
        Its folder.
    spec
        How it is registered.
    verification
        The report of its verification.
    """

    folder: Path
    spec: AgentSpec
    verification: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> VerifiedAgent:
        """Read an agent's folder.

        Raises
        ------
        ValueError
            If a file is damaged; the message names it.
        """
        verification = read_verification(folder / VERIFICATION_FILE)
        return cls(folder, AgentSpec.read(folder / SPEC_FILE), verification)

    @property
    def mean_return(self) -> str:
        """Mean return of its verification, with the 95 % interval."""
        return format_interval(*mean_interval(self.verification["returns"]))

    @property
    def episodes(self) -> int:
        """Number of episodes of its verification."""
        return len(self.verification["returns"])

    @property
    def steps(self) -> str:
        """Mean length of these episodes."""
        return f"{statistics.fmean(self.verification['lengths']):.1f}"

    @property
    def company(self) -> str:
        """The co-players of its verification, in words."""
        company = self.verification["company"]
        others = [*company["partners"], *company["siblings"].values()]
        if len(others) > _MOST_NAMED or any(map(is_saved, others)):
            return f"{len(others)} {'policy' if len(others) == 1 else 'policies'}"
        if others:
            return ", ".join(map(short_id, others))
        return "alone" if self.spec.env_type == GYMNASIUM else "itself"

    @property
    def has_film(self) -> bool:
        """Whether one of these episodes was filmed."""
        return (self.folder / FILM).is_file()

    def example(self, setup: str) -> str:
        """Return Python code that loads it.

        Parameters
        ----------
        setup
            Lines that import posggym and register the agent.
        """
        return (
            f"{setup}\n\n"
            f"{env_line(self.spec)}\n"
            "policy = posggym.agents.make(\n"
            f'    "{self.spec.id}", env.model, "{agent_of(self.spec)}"\n'
            ")"
        )

    def card(self, setup: str) -> str:
        """Return its card, Markdown with the metadata of Hugging Face's hub.

        Parameters
        ----------
        setup
            See `example`.
        """
        spec = self.spec
        value = self.mean_return.replace("±", "+/-")
        metric = {"type": "mean_reward", "name": "mean_reward", "value": value}
        task = "reinforcement-learning"
        result = {
            "task": {"type": task, "name": task},
            "dataset": {"name": spec.env_id, "type": spec.env_id},
            "metrics": [metric],
        }
        metadata = {
            "library_name": "posggym",
            "license": "mit",
            "tags": [spec.env_id, task, "evolution-strategies"],
            # JSON is YAML, too.
            "model-index": [{"name": spec.id, "results": [result]}],
        }
        header = "".join(f"{k}: {json.dumps(v)}\n" for k, v in metadata.items())
        picture = f"![An episode]({FILM})\n\n" if self.has_film else ""
        return (
            f"---\n{header}---\n\n# {spec.id}\n\n{spec.description}\n\n{picture}"
            f"Mean return {self.mean_return} (95 %) over {self.episodes} episodes; "
            f"plays with: {self.company}.\n\n```python\n{self.example(setup)}\n```\n"
        )


def copy_agent(folder: Path, output: Path) -> None:
    """Copy those files of an agent's folder that it is published with.

    Parameters
    ----------
    folder
        The folder of an agent.
    output
        The folder to fill.
    """
    partners = folder / EXTRACTED_FOLDER / PARTNERS_FOLDER
    saved = partners.glob(f"*{SAVED_SUFFIX}")
    for name in (*_FILES, *(str(path.relative_to(folder)) for path in saved)):
        if (folder / name).is_file():
            target = output / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, target)
