"""Config, paths and helpers that the other rule files share."""

import dataclasses
import json
import os
from functools import cache
from types import SimpleNamespace

# The project's packages for the scripts of all rules, also where a rule runs in a conda
# environment that does not have them installed. A prefix replaces Snakemake's own, which
# makes failures within pipes count.
shell.prefix(
    f"set -euo pipefail; export PYTHONPATH='{SOURCE}'"
    + "${{PYTHONPATH:+:$PYTHONPATH}}; "
)

from pgpelib.foreign.config_text import read_config_file
from pgpelib.utils.hints import did_you_mean
from posggym_es.publishing.rederivation import DerivationError, require_published
from posggym_es.utils.schema_check import mistakes_in, read_as_yaml
from posggym_es.config.experiments import REGISTRY_GROUP, ConfigError, Experiments
from posggym_es.config.scales import FULL_SCALE
from posggym_es.workflow.source_digest import source_digest
from posggym_es.workflow.stale_locks import keep_records

SCHEMA = Path(workflow.basedir) / "config/schemas/config.schema.yaml"
CONFIG_FILES = ", ".join(map(str, workflow.configfiles)) or "config"
schema = read_config_file(SCHEMA)
# Snakemake takes what stands in --config for text where it is neither a number nor
# Python's True.
read_as_yaml(config, workflow.config_settings.config, schema)
# Stricter than Snakemake's own `validate`, and in the words of the config.
mistakes = mistakes_in(config, schema)
if mistakes:
    raise WorkflowError(*(f"{CONFIG_FILES}: {line}" for line in mistakes))
config.setdefault("films", True)
config.setdefault("tensorboard", False)
try:
    EXPERIMENTS = Experiments(config)
except ConfigError as error:
    raise WorkflowError(f"{CONFIG_FILES}: {error}") from error

REGISTRY = SimpleNamespace(group=REGISTRY_GROUP)

# Intermediate files: runs/<scale>/<experiment>/seed<k>/... of a training run,
# runs/<scale>/<experiment>/<agent>/... of an agent (the same folder where a run trains
# one agent) and, for what several agents share, runs/<scale>/<group>/staged/..., a group
# being an experiment or the registry.
RUNS = str(EXPERIMENTS.run_root)
RESULTS = str(EXPERIMENTS.results_root)
SEED = f"{RUNS}/{{experiment}}/seed{{seed}}"
AGENT = f"{RUNS}/{{experiment}}/{{agent}}"
STAGED = f"{RUNS}/{{group}}/staged"
SCRIPTS = Path(workflow.basedir) / "workflow/scripts"
TEMPLATES = sorted(SOURCE.glob("posggym_es/reporting/templates/*.html"))
REPOSITORY_ARGUMENTS = [
    *(
        f"--{key}={config[key]}"
        for key in ("posggym_repo", "agent_models_repo")
        if key in config
    ),
    f"--branch={config.get('branch', 'posggym-es')}",
    f"--clones={RUNS}/repositories",
]


wildcard_constraints:
    experiment="|".join(EXPERIMENTS.names),
    group="|".join([*EXPERIMENTS.names, REGISTRY_GROUP]),
    seed=r"\d+",
    env=r"[\w-]+-v\d+",
    agent=r"[A-Za-z0-9_.-]+",


def code_of(script, *others):
    """Return a param function: the digest of a script and of what it imports.

    Editing code runs again what it affects. Training is left out on purpose: it takes
    days, and its results are still those of the code that their notes name.
    """
    return lambda wildcards: source_digest(SCRIPTS / script, SOURCE, others)


def of_group(pattern):
    """Return an input function: `pattern` for each agent of the group.

    Agents of experiments that are not selected come from their published results: this
    run does not make them.
    """

    def files(wildcards):
        own = {*EXPERIMENTS.selected, wildcards.group}
        found = []
        for experiment, agent in EXPERIMENTS.members(wildcards.group):
            path = pattern.format(experiment=experiment, agent=agent)
            if experiment not in own:
                path = str(Path(RESULTS) / Path(path).relative_to(RUNS))
            found.append(path)
        return found

    return files


def of_experiment(pattern):
    """Return an input function: `pattern` for each agent of the experiment."""
    return lambda wildcards: [
        pattern.format(experiment=wildcards.experiment, agent=agent)
        for agent in experiment_of(wildcards).agents
    ]


@cache
def lock_records():
    """Keep records of this run's locks, if it is one that locks.

    Called while the jobs are planned: only then is it known that this is neither a dry
    run nor one of Snakemake's views, and there are no locks yet.
    """
    runs_jobs = workflow.executor_plugin is not None and not workflow.dryrun
    if workflow.is_main_process and runs_jobs:
        keep_records(workflow.persistence)


def begins_chain(wildcards):
    """Return no input. Every chain begins with a rule that has this as its input."""
    lock_records()
    return []


def experiment_of(wildcards):
    """Return the experiment of a job."""
    return EXPERIMENTS[wildcards.experiment]


def training_resource(name):
    """Return a resource function that reads the experiment's `resources`."""
    return lambda wildcards: experiment_of(wildcards).resources[name]


def several_nodes(name):
    """Return a resource function for runs on several nodes; no resource for others.

    `mpi` tells the Slurm executor to run the job's script once, on the first node of
    the allocation: the trainer starts its workers on the others itself.
    """

    def resource(wildcards):
        nodes = experiment_of(wildcards).resources["nodes"]
        values = {"nodes": nodes, "tasks": nodes, "mpi": "srun"}
        return values[name] if nodes > 1 else None

    return resource


def growing(amount):
    """Return a resource function: more with each attempt, on clusters that retry."""
    return lambda wildcards, attempt: attempt * amount


def training_memory(wildcards, attempt):
    """Return the experiment's memory, more with each attempt.

    The time limit stays: the next attempt goes on where the last one ended.
    """
    return attempt * experiment_of(wildcards).resources["mem_mb"]


def run_dir(wildcards):
    """Return the folder of a training run, named by what defines the run."""
    digest = experiment_of(wildcards).training_config(int(wildcards.seed)).digest
    return f"{SEED}/run-{digest}".format(**wildcards)


def training_settings(wildcards):
    """Return the settings of a training run as arguments of train.py."""
    config = experiment_of(wildcards).training_config(int(wildcards.seed))
    settings = config.to_dict()
    # The rule gives its threads instead.
    del settings["num_cpus"]
    return [f"{name}={value!r}" for name, value in settings.items()]


def policy_source(wildcards):
    """Return the trained policies of a run, or the given policy file."""
    experiment = experiment_of(wildcards)
    agent = experiment.agents[wildcards.agent]
    if agent.source is not None:
        return agent.source
    return rules.train.output.policies.format(
        experiment=experiment.name, seed=agent.seed
    )


def role_argument(wildcards):
    """Return the extractor's arguments for one of several roles."""
    role = experiment_of(wildcards).agents[wildcards.agent].role
    return [] if role is None else ["--role", role]


def env_module_arguments(wildcards):
    """Return arguments that name the modules of environments that the config names."""
    modules = experiment_of(wildcards).env_modules
    return [f"--env_module={module}" for module in modules]


def sibling_specs(wildcards):
    """Return the specs of the agents that were trained together with an agent."""
    experiment = experiment_of(wildcards)
    own = experiment.agents[wildcards.agent]
    return [
        rules.agent_spec.output[0].format(experiment=experiment.name, agent=agent.label)
        for agent in experiment.agents.values()
        if agent.seed == own.seed and agent != own
    ]


def action_processor(wildcards):
    """Return the converter's arguments for a processor set in the config."""
    processor = experiment_of(wildcards).register.get("action_processor")
    return [] if processor is None else ["--action_processor", json.dumps(processor)]


def trained_metrics(wildcards):
    """Return the metrics of an experiment's runs; none if its policy was given."""
    if experiment_of(wildcards).train is None:
        return []
    return expand(
        rules.train.output.metrics,
        experiment=wildcards.experiment,
        seed=experiment_of(wildcards).seeds,
    )


def group_of_experiment(pattern):
    """Return an input function: a staged file or folder of the experiment's group."""
    return lambda wildcards: pattern.format(group=wildcards.experiment)


def crossplay_folders():
    """Return the folders of the POSGGym environments that agents are trained in."""
    return expand(f"{RESULTS}/crossplay/{{env}}", env=EXPERIMENTS.posggym_envs)


def wanted_crossplay(wildcards):
    """Return the folders of all cross-play; refuse a config without any."""
    if not EXPERIMENTS.posggym_envs:
        raise WorkflowError(
            "crossplay: none of the experiments is for a POSGGym environment: "
            f"{', '.join(EXPERIMENTS.selected)}"
        )
    return crossplay_folders()


def crossplay_models(wildcards):
    """Return the cross-play's arguments for a copy of POSGGym's models."""
    models = config.get("crossplay", {}).get("models_dir")
    return [] if models is None else ["--models_dir", models]


def needs_repositories(wildcards):
    """Return no input; refuse a config without repositories."""
    if "posggym_repo" not in config:
        raise WorkflowError(
            "this target needs posggym_repo and agent_models_repo in the config"
        )
    return []


def full_scale(wildcards):
    """Return no input; refuse to publish a rehearsal."""
    if EXPERIMENTS.scale != FULL_SCALE:
        raise WorkflowError(
            f"publish: scale {EXPERIMENTS.scale} is a rehearsal; only agents of scale "
            f"{FULL_SCALE} are published"
        )
    return []


def policy_to_remove(wildcards):
    """Return the id given on the command line."""
    if "policy" not in config:
        raise WorkflowError("unregister needs the agent's id: --config policy=ID")
    return config["policy"]


def config_arguments():
    """Return the arguments that give a script the config of this call.

    That is its files in the order in which they are merged, and its values, but for
    what process lists must not show.
    """
    given = workflow.overwrite_configfiles
    files = [file for file in workflow.configfiles if file not in given]
    if workflow.config_settings.replace_workflow_config and given:
        files = []
    keys = [key for key in workflow.config_settings.config if key != "mongo_db"]
    return [
        *("--configfile", *map(os.path.abspath, [*files, *given])),
        *("--config", json.dumps({key: config[key] for key in keys})),
    ]


def published_results(wildcards):
    """Return no input; refuse to check what is not there."""
    try:
        require_published(EXPERIMENTS, Path())
    except DerivationError as error:
        raise WorkflowError(str(error)) from error
    return []


def refuse_unknown_targets():
    """Propose the closest target for one that no rule makes.

    Snakemake asks `is_rule` about each target, before it looks for files.
    """
    inner = workflow.is_rule

    def is_rule(name):
        if inner(name):
            return True
        path = os.path.relpath(name)
        if os.path.exists(path) or any(r.is_producer(path) for r in workflow.rules):
            return False
        known = [r.name for r in workflow.rules if not r.has_wildcards()]
        known += [f"{RESULTS}/{name}" for name in EXPERIMENTS.names]
        raise WorkflowError(
            f"there is no target {name!r}{did_you_mean(name, known)} "
            "(snakemake --cores 1 help lists all)"
        )

    workflow.is_rule = is_rule


TARGETS = f"""\
snakemake --cores 2 TARGET                 What you get

  results/NAME                             one experiment: train, register, verify, film, page
  register_all                             all experiments, one registry, results/index.html
  crossplay                                payoffs of all policies of each POSGGym environment
  results/docs_all                         POSGGym's documentation pages of all agents
  publish                                  push the registered agents (needs repositories)
  unregister --config policy=ID            take an agent out again
  check                                    derive all published files again, and compare
  status                                   how far everything is; while another Snakemake
                                           works: python workflow/scripts/status.py

Add after the target:
  --config scale=smoke                     a rehearsal in minutes, in results/smoke/
  --config only=NAME,NAME                  some experiments
  --profile profiles/slurm                 on a cluster, instead of --cores
  -n                                       only say what would be done
  --report report.html                     afterwards: a report about what was done

Experiments: {", ".join(EXPERIMENTS.names)}
"""
