"""Functions for `params`: arguments of the scripts."""

from dataclasses import asdict

REPOSITORY_ARGUMENTS = [
    # Rules that use these check that the config names repositories.
    f"--posggym_repo={CONFIG.posggym_repo}",
    f"--agent_models_repo={CONFIG.agent_models_repo}",
    f"--branch={CONFIG.branch}",
    f"--clones={RUNS}/repositories",
]


def run_dir(wildcards):
    """Return the folder of a training run, named by the digest of its config."""
    experiment = experiment_of(wildcards)
    # Snakemake asks again when a missing input is there.
    if experiment.waits_for_partners(wildcards.run):
        os.stat(rules.partners.output[0].format(**wildcards))
    if experiment.waits_for_start(wildcards.run):
        os.stat(rules.starting_policy.output[0].format(**wildcards))
    digest = experiment.training_config(wildcards.run).digest
    return f"{RUN}/run-{digest}".format(**wildcards)


def training_settings(wildcards):
    """Return the settings of a training run as arguments of train.py."""
    config = experiment_of(wildcards).training_config(wildcards.run)
    settings = config.to_dict()
    # The rule passes its threads instead.
    del settings["num_cpus"]
    return [f"{name}={value!r}" for name, value in settings.items()]


def partner_arguments(wildcards):
    """Return the arguments that say which partners a run has, and how to mix them."""
    experiment = experiment_of(wildcards)
    partners = EXPERIMENTS.partners_of(experiment.name, wildcards.run)
    member = experiment.runs[wildcards.run]
    arguments = ["--partners", json.dumps([asdict(each) for each in partners])]
    if len(member.train.roles) == 1:
        arguments += ["--role", *member.train.roles]
    if member.solves_game:
        train = member.train
        arguments += [
            *("--solve", train.env_name, "--env_config", json.dumps(train.env_config)),
            *("--episodes", str(experiment.settings.payoff_episodes)),
            *("--max_episode_length", str(train.max_episode_length)),
        ]
    return arguments


def start_arguments(wildcards):
    """Return the arguments that say which policy a run starts from."""
    start = start_of(wildcards)
    return [*role_option(start.role), "--checkpoint", start.checkpoint]


def role_argument(wildcards):
    """Return the extraction script's argument for the role of an agent, if any."""
    return role_option(experiment_of(wildcards).agents[wildcards.agent].role)


def role_option(role):
    """Return the scripts' option for the agent id of a policy, if it has one."""
    return [] if role is None else ["--role", role]


def env_module_arguments(wildcards):
    """Return the arguments for `env_modules` in the config."""
    modules = experiment_of(wildcards).env_modules
    return [f"--env_module={module}" for module in modules]


def agent_arguments(wildcards):
    """Return the extraction script's arguments for `source` and `agent`."""
    experiment = experiment_of(wildcards)
    if experiment.members:
        # They are about given policies.
        return []
    settings = experiment.settings
    kind = [] if settings.source is None else [f"--kind={settings.source}"]
    given = [f"{k}={json.dumps(v)}" for k, v in settings.agent.given().items()]
    return [*kind, *(["--agent", *given] if given else [])]


def action_processor(wildcards):
    """Return the conversion script's arguments for a processor set in the config."""
    processor = experiment_of(wildcards).settings.registration.action_processor
    if processor is None:
        return []
    return ["--action_processor", json.dumps(processor.given())]


def crossplay_models(wildcards):
    """Return the cross-play script's arguments for a copy of POSGGym's models."""
    crossplay = CONFIG.crossplay
    if crossplay is None or crossplay.models_dir is None:
        return []
    return ["--models_dir", crossplay.models_dir]


def policy_to_remove(wildcards):
    """Return the id of the agent to remove, from the command line."""
    if CONFIG.policy is None:
        raise WorkflowError("unregister needs the agent's id: --config policy=ID")
    return CONFIG.policy


def config_arguments():
    """Return arguments that pass the config of this Snakemake call on to a script.

    These are the config files in the order in which they are merged, and values from
    the command line, without those that process lists must not show. A module's config
    may not be in files, so it is passed as values.
    """
    own = {key: value for key, value in CONFIG.given().items() if key != "mongo_db"}
    if AS_MODULE:
        return ["--configfile", "--config", json.dumps(own)]
    given = workflow.overwrite_configfiles
    files = [file for file in workflow.configfiles if file not in given]
    if workflow.config_settings.replace_workflow_config and given:
        files = []
    values = {key: own[key] for key in workflow.config_settings.config if key in own}
    return [
        *("--configfile", *map(os.path.abspath, [*files, *given])),
        *("--config", json.dumps(values)),
    ]


def experiment_settings(wildcards):
    """Return an experiment's config at the current scale, as JSON."""
    return json.dumps(experiment_of(wildcards).to_dict())


def registration_settings(wildcards):
    """Return the registration settings of an agent, as JSON."""
    return json.dumps(experiment_of(wildcards).registration(wildcards.agent))
