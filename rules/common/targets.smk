"""The targets: the text of `help`, and suggestions for misspelt ones."""

from pgpelib.utils.hints import did_you_mean

TARGETS = f"""\
snakemake --cores 2 TARGET                 What you get

  results/NAME                             one experiment: train, register, verify, film, page
  register_all                             all experiments, one registry, results/index.html
  crossplay                                payoffs of all policies of each POSGGym environment
  results/docs_all                         POSGGym's documentation pages of all agents
  zoo --configfile config/zoo.yaml         train the zoo's missing agents, collect them in zoo/
  zoo_check                                derive the zoo's policy files again, replay episodes
  publish                                  push the registered agents (needs repositories)
  publish_zoo                              push the zoo's agents (needs repositories)
  unregister --config policy=ID            remove an agent from the repositories
  check                                    regenerate all published files, and compare
  status                                   progress of all experiments; while Snakemake
                                           is running: python workflow/scripts/status.py

Add after the target:
  --config scale=smoke                     a rehearsal in minutes, in results/smoke/
  --config only=NAME,NAME                  only these experiments
  --profile profiles/slurm                 on a cluster, instead of --cores
  -n                                       a dry run, which lists the jobs
  --report report.html                     afterwards: Snakemake's report

Experiments: {", ".join(EXPERIMENTS.names)}
"""


def refuse_unknown_targets():
    """Suggest the closest target for an unknown one.

    Snakemake's own message has no suggestion, and there is no hook before it. But
    Snakemake first calls `is_rule` for each target.
    """
    inner = workflow.is_rule

    def is_rule(name):
        # Snakemake also calls this for each rule while it parses the Snakefile.
        if workflow.included_stack or inner(name):
            return inner(name)
        path = os.path.relpath(name)
        if os.path.exists(path) or any(r.is_producer(path) for r in workflow.rules):
            return False
        known = [r.name for r in workflow.rules if not r.has_wildcards()]
        known += [f"{RESULTS}/{name}" for name in EXPERIMENTS.names]
        raise WorkflowError(
            f"unknown target {name!r}{did_you_mean(name, known)} "
            "(snakemake --cores 1 help lists all targets)"
        )

    workflow.is_rule = is_rule
