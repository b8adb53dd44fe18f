"""Config, paths and helpers that the other rule files share."""

import dataclasses
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# The project's packages, for the Snakefile and for the scripts of all rules, also where
# a rule runs in a conda environment that does not have them installed.
SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")])
)

from posggym_es.config_check import closest_key_hint
from posggym_es.experiments import REGISTRY_GROUP, ConfigError, Experiments

try:
    validate(config, Path(workflow.basedir) / "config/schemas/config.schema.yaml")
except WorkflowError as error:
    raise WorkflowError(f"{error}{closest_key_hint(error)}") from error
try:
    EXPERIMENTS = Experiments(config)
except ConfigError as error:
    raise WorkflowError(f"config: {error}") from error

REGISTRY = SimpleNamespace(group=REGISTRY_GROUP)

# Intermediate files: runs/<scale>/<experiment>/seed<k>/... and, for what several agents
# share, runs/<scale>/<group>/staged/..., a group being an experiment or the registry.
RUNS = str(EXPERIMENTS.run_root)
SEED = f"{RUNS}/{{experiment}}/seed{{seed}}"
STAGED = f"{RUNS}/{{group}}/staged"
SCRIPTS = Path(workflow.basedir) / "workflow/scripts"


wildcard_constraints:
    experiment="|".join(EXPERIMENTS.names),
    group="|".join([*EXPERIMENTS.names, REGISTRY_GROUP]),
    seed=r"\d+",


def of_group(pattern):
    """Return an input function: `pattern` for each (experiment, seed) of the group."""
    return lambda wildcards: [
        pattern.format(experiment=experiment, seed=seed)
        for experiment, seed in EXPERIMENTS.members(wildcards.group)
    ]


def of_experiment(pattern):
    """Return an input function: `pattern` for each seed of the experiment."""
    return lambda wildcards: [
        pattern.format(experiment=wildcards.experiment, seed=seed)
        for seed in EXPERIMENTS[wildcards.experiment].seeds
    ]


def experiment_of(wildcards):
    """Return the experiment of a job."""
    return EXPERIMENTS[wildcards.experiment]


def training_resource(name):
    """Return a resource function that reads the experiment's `resources`."""
    return lambda wildcards: experiment_of(wildcards).resources[name]
