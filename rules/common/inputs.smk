"""Input functions: files of groups of agents, and what a target needs."""

from posggym_es.config.scales import FULL_SCALE
from posggym_es.publishing.rederivation import DerivationError, require_published


def files_of_group(group, pattern):
    """Return `pattern` for each agent of a group.

    Agents of experiments that are not selected come from their published results: this
    run does not make them.
    """
    own = {*EXPERIMENTS.selected, group}
    found = []
    for experiment, agent in EXPERIMENTS.members(group):
        path = pattern.format(experiment=experiment, agent=agent)
        if experiment not in own:
            path = str(Path(RESULTS) / Path(path).relative_to(RUNS))
        found.append(path)
    return found


def of_group(pattern):
    """Return an input function: `pattern` for each agent of the job's group."""
    return lambda wildcards: files_of_group(wildcards.group, pattern)


def of_registry(pattern):
    """Return an input function: `pattern` for each agent of the registry."""
    return lambda wildcards: files_of_group(REGISTRY_GROUP, pattern)


def of_experiment(pattern):
    """Return an input function: `pattern` for each agent of the experiment."""
    return lambda wildcards: [
        pattern.format(experiment=wildcards.experiment, agent=agent)
        for agent in experiment_of(wildcards).agents
    ]


def group_of_experiment(pattern):
    """Return an input function: a staged file or folder of the experiment's group."""
    return lambda wildcards: pattern.format(group=wildcards.experiment)


def policy_source(wildcards):
    """Return the trained policies of a run, or the given policy file."""
    experiment = experiment_of(wildcards)
    agent = experiment.agents[wildcards.agent]
    if agent.source is not None:
        return agent.source
    return rules.train.output.policies.format(
        experiment=experiment.name, seed=agent.seed
    )


def sibling_specs(wildcards):
    """Return the specs of the agents that were trained together with an agent."""
    experiment = experiment_of(wildcards)
    own = experiment.agents[wildcards.agent]
    return [
        rules.agent_spec.output[0].format(experiment=experiment.name, agent=agent.label)
        for agent in experiment.agents.values()
        if agent.seed == own.seed and agent != own
    ]


def trained_metrics(wildcards):
    """Return the metrics of an experiment's runs; none if its policy was given."""
    if experiment_of(wildcards).settings.train is None:
        return []
    return expand(
        rules.train.output.metrics,
        experiment=wildcards.experiment,
        seed=experiment_of(wildcards).settings.seeds,
    )


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


def needs_repositories(wildcards):
    """Return no input; refuse a config without repositories."""
    if CONFIG.posggym_repo is None:
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


def published_results(wildcards):
    """Return no input; refuse to check what is not there."""
    if CHECKOUT is None:
        raise WorkflowError(
            "check: derives files with a checkout of this workflow only"
        )
    try:
        require_published(EXPERIMENTS, Path())
    except DerivationError as error:
        raise WorkflowError(str(error)) from error
    return []


def all_results():
    """Return what `register_all` makes."""
    return [
        *expand(f"{RESULTS}/{{experiment}}", experiment=EXPERIMENTS.selected),
        f"{RESULTS}/{REGISTRY_GROUP}",
        f"{RESULTS}/index.html",
        # Where the config asks for it.
        *([] if CONFIG.crossplay is None else crossplay_folders()),
        # Where the config names repositories.
        *(
            []
            if CONFIG.posggym_repo is None
            else [rules.register_in_repositories.output[0]]
        ),
    ]
