"""Resource functions: those of training come from the config."""


def growing(amount):
    """Return a resource function: more with each attempt, on clusters that retry."""
    return lambda wildcards, attempt: attempt * amount


def training_resource(name):
    """Return a resource function that reads the experiment's `resources`."""
    return lambda wildcards: getattr(experiment_of(wildcards).settings.resources, name)


def training_memory(wildcards, attempt):
    """Return the experiment's memory, more with each attempt.

    The time limit stays: the next attempt goes on where the last one ended.
    """
    return attempt * experiment_of(wildcards).settings.resources.mem_mb


def several_nodes(name):
    """Return a resource function for runs on several nodes; no resource for others.

    `mpi` tells the Slurm executor to run the job's script once, on the first node of
    the allocation: the trainer starts its workers on the others itself.
    """

    def resource(wildcards):
        nodes = experiment_of(wildcards).settings.resources.nodes
        values = {"nodes": nodes, "tasks": nodes, "mpi": "srun"}
        return values[name] if nodes > 1 else None

    return resource
