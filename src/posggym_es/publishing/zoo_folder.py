"""The zoo: a folder with the agents of finished experiments.

It has a folder for each environment, with one for each experiment, with one for each
agent:

    zoo/Driving-v1/payoffs/          payoffs of its agents and POSGGym's own
    zoo/Driving-v1/driving/          config.json, learning_curve.png
    zoo/Driving-v1/driving/seed3/    spec.json, extracted/, converted/,
                                     verification.json, film/film.webp, README.md

Except for payoffs and the card, `README.md`, these are files of `results/<experiment>`.
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
from pgpelib.utils.files import write_text
from posggym_es.agents.folders import CONVERTED_FOLDER, agent_folders
from posggym_es.config.result_names import CONFIG_FILE, CURVE_FILE
from posggym_es.conversion.report import MODEL_FILE, REPORT_FILE
from posggym_es.evaluation.file_names import (
    EXTRACTED_FOLDER,
    FILM_FOLDER,
    PREVIEW_FILE,
    VERIFICATION_FILE,
)
from posggym_es.evaluation.verification import read_verification
from posggym_es.policies.policy_file import METADATA_FILE, TENSORS_FILE
from posggym_es.registration.spec import SPEC_FILE, AgentSpec
from posggym_es.utils.return_statistics import format_interval, mean_interval
from posggym_gymnasium.ids import ENV_TYPE as GYMNASIUM

CARD_FILE = "README.md"
# In the folder of an environment: a JSON file for each set of its arguments.
PAYOFFS_FOLDER = "payoffs"
# Of a film only the preview, which Markdown pages can show.
FILM = f"{FILM_FOLDER}/{PREVIEW_FILE}"
_OF_EXPERIMENTS = (CONFIG_FILE, CURVE_FILE)
_OF_AGENTS = (
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
class ZooAgent:
    """An agent of the zoo.

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
    def read(cls, folder: Path) -> ZooAgent:
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
            return ", ".join(name.rpartition("/")[2] for name in others)
        return "alone" if self.spec.env_type == GYMNASIUM else "itself"

    @property
    def has_film(self) -> bool:
        """Whether one of these episodes was filmed."""
        return (self.folder / FILM).is_file()

    @property
    def example(self) -> str:
        """Python code that loads it."""
        given = self.spec.env_args or {}
        args = "".join(f", {key}={value!r}" for key, value in given.items())
        agent = (self.spec.valid_agent_ids or ["0"])[0]
        return (
            "import posggym, posggym.agents, posggym_es.zoo\n\n"
            f'env = posggym.make("{self.spec.env_id}"{args})\n'
            "policy = posggym.agents.make(\n"
            f'    "{self.spec.id}", env.model, "{agent}"\n'
            ")"
        )


def collect_experiment(results: Path, output: Path) -> None:
    """Copy the agents of an experiment.

    Parameters
    ----------
    results
        The results folder of the experiment.
    output
        The folder to fill, `zoo/<environment>/<experiment>`.
    """
    folders: dict[Path, tuple[str, ...]] = {results: _OF_EXPERIMENTS}
    folders |= dict.fromkeys(agent_folders(results), _OF_AGENTS)
    for folder, names in folders.items():
        partners = folder / EXTRACTED_FOLDER / PARTNERS_FOLDER
        saved = partners.glob(f"*{SAVED_SUFFIX}")
        for name in (*names, *(str(path.relative_to(folder)) for path in saved)):
            target = output / folder.relative_to(results) / name
            if (folder / name).is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, target)
    for folder in agent_folders(output):
        write_text(folder / CARD_FILE, agent_card(ZooAgent.read(folder)))


def agent_card(agent: ZooAgent) -> str:
    """Return the card of an agent, Markdown with the metadata of Hugging Face's hub."""
    spec = agent.spec
    value = agent.mean_return.replace("±", "+/-")
    metric = {"type": "mean_reward", "name": "mean_reward", "value": value}
    result = {
        "task": {"type": "reinforcement-learning", "name": "reinforcement-learning"},
        "dataset": {"name": spec.env_id, "type": spec.env_id},
        "metrics": [metric],
    }
    metadata = {
        "library_name": "posggym",
        "license": "mit",
        "tags": [spec.env_id, "reinforcement-learning", "evolution-strategies"],
        # JSON is YAML, too.
        "model-index": [{"name": spec.id, "results": [result]}],
    }
    header = "".join(f"{key}: {json.dumps(value)}\n" for key, value in metadata.items())
    picture = f"![An episode]({FILM})\n\n" if agent.has_film else ""
    return (
        f"---\n{header}---\n\n# {spec.id}\n\n{spec.description}\n\n{picture}"
        f"Mean return {agent.mean_return} (95 %) over {agent.episodes} episodes; "
        f"plays with: {agent.company}.\n\n```python\n{agent.example}\n```\n"
    )
