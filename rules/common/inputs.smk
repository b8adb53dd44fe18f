"""Input functions: files of groups of agents, and requirements of targets."""

from pgpelib.policies.partners import is_saved
from posggym_es.config.scales import FULL_SCALE
from posggym_es.publishing.rederivation import DerivationError, require_published


def files_of_group(group, pattern):
    """Return `pattern` for each agent of a group.

    Files of experiments that are not selected are taken from their published results,
    because this run does not create them.
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
    return rules.train.output.policies.format(experiment=experiment.name, run=agent.run)


def files_beside(wildcards):
    """Return the files that are read with a given policy file."""
    return experiment_of(wildcards).agents[wildcards.agent].beside


def sibling_specs(wildcards):
    """Return the specs of the agents that were trained together with an agent."""
    experiment = experiment_of(wildcards)
    own = experiment.agents[wildcards.agent]
    return [
        rules.agent_spec.output[0].format(experiment=experiment.name, agent=agent.label)
        for agent in experiment.agents.values()
        if agent.run == own.run and agent != own
    ]


def trained_metrics(wildcards):
    """Return the metrics of an experiment's runs; [] if its policy was given."""
    return expand(
        rules.train.output.metrics,
        experiment=wildcards.experiment,
        run=experiment_of(wildcards).runs,
    )


def partner_policies(wildcards):
    """Return the folders and files with the policies that a run trains against."""
    partners = EXPERIMENTS.partners_of(wildcards.experiment, wildcards.run)
    folders = [f"{each.run_dir}/policies" for each in partners if each.run_dir]
    files = [each.name for each in partners if is_saved(each.name)]
    return sorted({*folders, *files})


def partners_file(wildcards):
    """Return the file with a run's partners if they are trained before it, or theirs."""
    if experiment_of(wildcards).waits_for_partners(wildcards.run):
        return rules.partners.output[0]
    return partner_policies(wildcards)


def init_policy_file(wildcards):
    """Return the saved policy that a run's search starts from, if any."""
    experiment = experiment_of(wildcards)
    if experiment.waits_for_start(wildcards.run):
        return rules.starting_policy.output[0]
    file = experiment.runs[wildcards.run].train.init_policy
    return [] if file is None else file


def start_of(wildcards):
    """Return the agent of the config that a run's search starts from."""
    return EXPERIMENTS.start_of(wildcards.experiment, wildcards.run)


def crossplay_folders():
    """Return the cross-play folders of all POSGGym environments with agents."""
    return expand(f"{RESULTS}/crossplay/{{env}}", env=EXPERIMENTS.posggym_envs)


def wanted_crossplay(wildcards):
    """Return the cross-play folders; raise an error if there are none."""
    if not EXPERIMENTS.posggym_envs:
        raise WorkflowError(
            "crossplay: no experiment uses a POSGGym environment: "
            f"{', '.join(EXPERIMENTS.selected)}"
        )
    return crossplay_folders()


def needs_repositories(wildcards):
    """Return no input; raise an error if the config does not name repositories."""
    if CONFIG.posggym_repo is None:
        raise WorkflowError(
            "this target needs posggym_repo and agent_models_repo in the config"
        )
    return []


def full_scale(wildcards):
    """Return no input; raise an error if the scale is a rehearsal's."""
    if EXPERIMENTS.scale != FULL_SCALE:
        raise WorkflowError(
            f"publish: scale {EXPERIMENTS.scale} is a rehearsal; only agents at scale "
            f"{FULL_SCALE} can be published"
        )
    return []


def missing_in_zoo(wildcards):
    """Return the folders of experiments that the zoo lacks, and of their results.

    Snakemake would not make missing results if agents with other settings are there.
    """
    if CONFIG.only is None:
        raise WorkflowError(
            "zoo: name its experiments: --configfile config/zoo.yaml, or --config only="
        )
    if EXPERIMENTS.scale != FULL_SCALE:
        raise WorkflowError(
            f"zoo: scale {EXPERIMENTS.scale} is a rehearsal; only agents at scale "
            f"{FULL_SCALE} belong in the zoo"
        )
    lacking = EXPERIMENTS.lacking_in(Path(ZOO))
    return [f"{RESULTS}/{folder.name}" for folder in lacking] + [*map(str, lacking)]


def zoo_agents():
    """Return the folders of the zoo's agents for POSGGym's own environments.

    They can be proposed to POSGGym, other than agents of Gymnasium tasks.
    """
    folders = [
        folder for folder, spec in agent_specs(Path(ZOO)) if spec.env_type != GYMNASIUM
    ]
    if not folders:
        raise WorkflowError(f"{ZOO}: has no agents of POSGGym environments")
    return folders


def published_results(wildcards):
    """Return no input; raise an error if results to check are missing."""
    if CHECKOUT is None:
        raise WorkflowError("check: needs a checkout of this workflow")
    try:
        require_published(EXPERIMENTS, Path())
    except DerivationError as error:
        raise WorkflowError(str(error)) from error
    return []


def all_results():
    """Return the input of `register_all`."""
    return [
        *expand(f"{RESULTS}/{{experiment}}", experiment=EXPERIMENTS.selected),
        f"{RESULTS}/{REGISTRY_GROUP}",
        f"{RESULTS}/index.html",
        # If the config enables cross-play.
        *([] if CONFIG.crossplay is None else crossplay_folders()),
        # If the config names repositories.
        *(
            []
            if CONFIG.posggym_repo is None
            else [rules.register_in_repositories.output[0]]
        ),
    ]
