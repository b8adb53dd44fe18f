"""What is checked before the first training: tasks, and that POSGGym takes the agents.

This is no rule. Through a file between it and the training, a new description would train
anew; and behind an `ancient` file that is going to change, Snakemake does not see what
else has changed.
"""

import subprocess


def refuse_agents_that_cannot_be_registered():
    """Check the agents of the experiments that are about to be trained."""
    to_train = {
        job.wildcards.experiment
        for job in workflow.dag.needrun_jobs()
        if job.rule.name == "train"
    }
    if not to_train:
        return
    agents = json.dumps(EXPERIMENTS.planned_agents(to_train))
    script = SCRIPTS / "check_planned_agents.py"
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


onstart:
    if workflow.is_main_process:
        refuse_agents_that_cannot_be_registered()
