"""Functions for `resources`; those of training are in the config."""


def growing(amount):
    """Return a resource function: `amount` times the number of the attempt."""
    return lambda wildcards, attempt: attempt * amount


def training_resource(name):
    """Return a resource function that reads the experiment's `resources`."""
    return lambda wildcards: getattr(experiment_of(wildcards).settings.resources, name)


def training_memory(wildcards, attempt):
    """Return the experiment's memory times the number of the attempt.

    The time limit does not grow, because the next attempt resumes the run.
    """
    return attempt * experiment_of(wildcards).settings.resources.mem_mb


def several_nodes(name):
    """Return a resource function that is None for runs on a single node.

    `mpi` makes the Slurm executor run the job's script only once, on the first node of
    the allocation. The trainer then starts workers on the other nodes itself.
    """

    def resource(wildcards):
        nodes = experiment_of(wildcards).settings.resources.nodes
        values = {"nodes": nodes, "tasks": nodes, "mpi": "srun"}
        return values[name] if nodes > 1 else None

    return resource
