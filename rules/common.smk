"""Config, paths and helpers that the other rule files share."""

import json

import posggym_es
from pgpelib.utils.settings import SettingsError
from posggym_es.config.experiments import Experiments
from posggym_es.config.settings import REGISTRY_GROUP
from posggym_es.config.workflow_config import read_config
from posggym_es.workflow.source_digest import source_digest

SOURCE = Path(posggym_es.__file__).parents[1]
CONFIG_FILES = ", ".join(map(str, workflow.configfiles)) or "config"

if CHECKOUT is not None:
    # For the scripts of all rules, also where a rule runs in a conda environment that does
    # not have the packages installed. A prefix replaces Snakemake's own, which makes
    # failures within pipes count.
    shell.prefix(
        f"set -euo pipefail; export PYTHONPATH='{SOURCE}'"
        + "${{PYTHONPATH:+:$PYTHONPATH}}; "
    )


def project_file(path):
    """Return a file of this project; Snakemake fetches it where there is no checkout."""
    if CHECKOUT is not None:
        return CHECKOUT / path
    return Path(workflow.source_path(f"../{path}"))


try:
    # Instead of Snakemake's `validate`: the models that the schema is made from name
    # the key that was meant, and have the defaults.
    CONFIG = read_config(config, workflow.config_settings.config)
    EXPERIMENTS = Experiments(CONFIG)
except SettingsError as error:
    raise WorkflowError(
        *(f"{CONFIG_FILES}: {each}" for each in error.mistakes)
    ) from error

# Intermediate files: runs/<scale>/<experiment>/seed<k>/... of a training run,
# runs/<scale>/<experiment>/<agent>/... of an agent (the same folder where a run trains
# one agent) and, for what several agents share, runs/<scale>/<group>/staged/..., a group
# being an experiment or the registry.
RUNS = str(EXPERIMENTS.run_root)
RESULTS = str(EXPERIMENTS.results_root)
SEED = f"{RUNS}/{{experiment}}/seed{{seed}}"
AGENT = f"{RUNS}/{{experiment}}/{{agent}}"
STAGED = f"{RUNS}/{{group}}/staged"
TEMPLATES = sorted(SOURCE.glob("posggym_es/reporting/templates/*.html"))


wildcard_constraints:
    experiment="|".join(EXPERIMENTS.names),
    group="|".join([*EXPERIMENTS.names, REGISTRY_GROUP]),
    seed=r"\d+",
    env=r"[\w-]+-v\d+",
    agent=r"[A-Za-z0-9_.-]+",


def path_of(script):
    """Return a param: the path of a script."""
    path = f"workflow/scripts/{script}"
    if CHECKOUT is not None:
        return CHECKOUT / path
    # Fetched into another folder in each run. Snakemake takes params for changed by what
    # they are, except those that depend on more than wildcards.
    return lambda wildcards, output: project_file(path)


def code_of(script, *others):
    """Return a param function: the digest of a script and of the modules that it runs.

    Editing code runs again what it affects. Training is left out on purpose: it takes
    days, and its results are still those of the code that their notes name.
    """
    return lambda wildcards: source_digest(
        project_file(f"workflow/scripts/{script}"), SOURCE, others
    )


def experiment_of(wildcards):
    """Return the experiment of a job."""
    return EXPERIMENTS[wildcards.experiment]
