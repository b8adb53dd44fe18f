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

import shutil
from pathlib import Path

from pgpelib.utils.files import write_text
from posggym_es.agents.folders import agent_folders
from posggym_es.config.result_names import CONFIG_FILE, CURVE_FILE
from posggym_es.evaluation.verified_agent import CARD_FILE, VerifiedAgent, copy_agent

# In the folder of an environment: a JSON file for each set of its arguments.
PAYOFFS_FOLDER = "payoffs"
SETUP = "import posggym, posggym.agents, posggym_es.zoo"
"""The line that registers the zoo, in examples."""


def collect_experiment(results: Path, output: Path) -> None:
    """Copy the agents of an experiment.

    Parameters
    ----------
    results
        The results folder of the experiment.
    output
        The folder to fill, `zoo/<environment>/<experiment>`.
    """
    output.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG_FILE, CURVE_FILE):
        if (results / name).is_file():
            shutil.copyfile(results / name, output / name)
    for folder in agent_folders(results):
        target = output / folder.relative_to(results)
        copy_agent(folder, target)
        write_text(target / CARD_FILE, VerifiedAgent.read(target).card(SETUP))
