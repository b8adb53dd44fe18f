"""Actions before the first job: checks of planned agents, and records of locks."""

import subprocess
from functools import cache

from posggym_es.workflow.stale_locks import keep_records


@cache
def lock_records():
    """Keep records of this run's locks, unless it is a dry run or does not run jobs.

    This is called while jobs are planned. Earlier, the kind of run is not known; later,
    Snakemake has already locked.
    """
    runs_jobs = workflow.executor_plugin is not None and not workflow.dryrun
    if workflow.is_main_process and runs_jobs:
        keep_records(workflow.persistence)


def begins_chain(wildcards):
    """Return no input files; an input of the first rule of every chain of jobs."""
    lock_records()
    return []


def refuse_agents_that_cannot_be_registered():
    """Check that agents can be registered in POSGGym, before they are trained.

    This is not a rule, because its output would be an input of training: a change of an
    agent's description would then train the agent again. With an `ancient` input that
    is about to change, Snakemake does not notice other changes.
    """
    to_train = {
        job.wildcards.experiment
        for job in workflow.dag.needrun_jobs()
        # A workflow that uses this one as a module may rename the rule.
        if job.rule.name == rules.train.rule.name
    }
    if not to_train:
        return
    agents = json.dumps(EXPERIMENTS.planned_agents(to_train))
    script = project_file("workflow/scripts/check_planned_agents.py")
    # Like the shell prefix of jobs; the user's own path may contain environments.
    paths = [str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]
    run = subprocess.run(
        [sys.executable, str(script), "--agents", agents],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    if run.returncode:
        # Skip warnings of simulators.
        message = run.stderr.strip().rpartition(f"{script.name}: ")[2]
        raise WorkflowError(f"{CONFIG_FILES}: {message}")


# Snakemake runs only the main Snakefile's onstart, see docs/modules.md.
onstart:
    if workflow.is_main_process:
        refuse_agents_that_cannot_be_registered()
