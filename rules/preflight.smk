"""What happens before the first job: the preflight, and records of locks."""

import subprocess
from functools import cache

from posggym_es.workflow.stale_locks import keep_records


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


def refuse_agents_that_cannot_be_registered():
    """Check tasks, and that POSGGym takes the agents that are about to be trained.

    This is no rule. Through a file between it and the training, a new description would
    train again; and behind an `ancient` file that is going to change, Snakemake does not
    see what else has changed.
    """
    to_train = {
        job.wildcards.experiment
        for job in workflow.dag.needrun_jobs()
        # The rule has another name in a workflow that uses it `as` another.
        if job.rule.name == rules.train.rule.name
    }
    if not to_train:
        return
    agents = json.dumps(EXPERIMENTS.planned_agents(to_train))
    script = project_file("workflow/scripts/check_planned_agents.py")
    # As the prefix of all jobs: environments can come from modules of the user.
    paths = [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
    run = subprocess.run(
        [sys.executable, str(script), "--agents", agents],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    if run.returncode:
        # Simulators warn on the way.
        message = run.stderr.strip().rpartition(f"{script.name}: ")[2]
        raise WorkflowError(f"{CONFIG_FILES}: {message}")


# Snakemake runs that of its main Snakefile only: see docs/modules.md.
onstart:
    if workflow.is_main_process:
        refuse_agents_that_cannot_be_registered()
