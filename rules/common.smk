"""Config, paths and helpers that the other rule files share."""

import json

import posggym_es
from pgpelib.utils.settings import SettingsError
from posggym_es.agents.folders import agent_specs, policy_file_of
from posggym_es.config.experiments import PARTNERS_FILE, START_FILE, Experiments
from posggym_es.config.settings import REGISTRY_GROUP
from posggym_es.config.workflow_config import read_config
from posggym_es.registration.spec import SPEC_FILE
from posggym_es.workflow.source_digest import source_digest
from posggym_gymnasium.ids import ENV_TYPE as GYMNASIUM

SOURCE = Path(posggym_es.__file__).parents[1]
CONFIG_FILES = ", ".join(map(str, workflow.configfiles)) or "config"

if CHECKOUT is not None:
    # Lets scripts import the project's packages, also in conda environments without
    # them. This replaces Snakemake's own prefix, which sets -euo pipefail.
    shell.prefix(
        f"set -euo pipefail; export PYTHONPATH='{SOURCE}'"
        + "${{PYTHONPATH:+:$PYTHONPATH}}; "
    )


def project_file(path):
    """Return a file of this project, which Snakemake fetches if there is no checkout."""
    if CHECKOUT is not None:
        return CHECKOUT / path
    return Path(workflow.source_path(f"../{path}"))


try:
    # Instead of Snakemake's `validate`, because the models that the schema is generated
    # from suggest similar keys and apply the defaults.
    CONFIG = read_config(config, workflow.config_settings.config)
    EXPERIMENTS = Experiments(CONFIG)
except SettingsError as error:
    raise WorkflowError(
        *(f"{CONFIG_FILES}: {each}" for each in error.mistakes)
    ) from error

# Intermediate files are in
# - runs/<scale>/<experiment>/<run>/ for a training run, which is called seed<k>, or
#   <member>_seed<k> in a population,
# - runs/<scale>/<experiment>/<agent>/ for an agent (the same folder if a run trains only
#   one agent), and
# - runs/<scale>/<group>/staged/ for all agents of an experiment or of the registry.
RUNS = str(EXPERIMENTS.run_root)
RESULTS = str(EXPERIMENTS.results_root)
ZOO = "zoo"
RUN = f"{RUNS}/{{experiment}}/{{run}}"
AGENT = f"{RUNS}/{{experiment}}/{{agent}}"
STAGED = f"{RUNS}/{{group}}/staged"
TEMPLATES = sorted(SOURCE.glob("posggym_es/reporting/templates/*.html"))


wildcard_constraints:
    experiment="|".join(EXPERIMENTS.names),
    group="|".join([*EXPERIMENTS.names, REGISTRY_GROUP]),
    run=r"\w+",
    env=r"[\w-]+-v\d+",
    agent=r"[A-Za-z0-9_.-]+",


def path_of(script):
    """Return the path of a script, for `params`."""
    path = f"workflow/scripts/{script}"
    if CHECKOUT is not None:
        return CHECKOUT / path
    # Fetched to a different folder in each run. A changed param would rerun the job,
    # unless it is a function of more than wildcards.
    return lambda wildcards, output: project_file(path)


def code_of(script, *others):
    """Return a function for `params`: the digest of a script and the modules it runs.

    With it, editing code reruns the jobs that depend on it. Training does not use it on
    purpose: it takes days, and its results record the commit that computed them.
    """
    return lambda wildcards: source_digest(
        project_file(f"workflow/scripts/{script}"), SOURCE, others
    )


def experiment_of(wildcards):
    """Return the experiment of a job."""
    return EXPERIMENTS[wildcards.experiment]
