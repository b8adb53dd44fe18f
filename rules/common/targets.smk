"""The targets: what `help` lists, and which one is meant."""

from pgpelib.utils.hints import did_you_mean

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


def refuse_unknown_targets():
    """Propose the closest target for one that no rule makes.

    Snakemake reads the Snakefile before it knows the targets, and has no hook between
    that and its own, shorter message. It asks `is_rule` about each target first.
    """
    inner = workflow.is_rule

    def is_rule(name):
        # It also asks about each rule that it reads.
        if workflow.included_stack or inner(name):
            return inner(name)
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
