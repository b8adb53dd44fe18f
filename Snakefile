"""Train agents by evolution strategies and register them in POSGGym.

Data flows through the rule files in this order; each reads what the one before it wrote.
"""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.0")

# The project's packages, also where they are not installed.
SOURCE = Path(workflow.basedir) / "src"
sys.path.insert(0, str(SOURCE))
# Snakemake's plugin has imported some of them, in another checkout those installed.
for name in [name for name in sys.modules if (SOURCE / name.split(".")[0]).is_dir()]:
    if SOURCE not in Path(sys.modules[name].__file__).parents:
        del sys.modules[name]

from posggym_es.config.safe_config import read_safely

if not read_safely() and workflow.overwrite_configfiles:
    raise WorkflowError(
        "--configfile needs posggym-es installed beside Snakemake (make env): without "
        "it, Snakemake runs code in such files before the workflow can prevent that"
    )


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/common.smk"


rule register_all:
    """Train, register, verify and document the agents of all experiments."""
    default_target: True
    input:
        expand(f"{RESULTS}/{{experiment}}", experiment=EXPERIMENTS.selected),
        f"{RESULTS}/{REGISTRY_GROUP}",
        f"{RESULTS}/index.html",
        # Where the config asks for it.
        crossplay_folders() if "crossplay" in config else [],
        # Where the config names repositories.
        [f"{RUNS}/{REGISTRY_GROUP}/registered.json"] if "posggym_repo" in config else [],


# Seconds each: not worth a place in a cluster's queue.
localrules:
    agent_spec,
    verify_registry,
    stage,
    registry,
    docs,
    docs_all,
    results,
    results_registry,
    results_index,


include: "rules/preflight.smk"
include: "rules/train.smk"
include: "rules/extract.smk"
include: "rules/convert.smk"
include: "rules/stage.smk"
include: "rules/registry.smk"
include: "rules/verify.smk"
include: "rules/film.smk"
include: "rules/docs.smk"
include: "rules/crossplay.smk"
include: "rules/results.smk"
include: "rules/repositories.smk"


rule crossplay:
    """Play the registered policies of each POSGGym environment with each other."""
    input:
        wanted_crossplay,


rule status:
    """Show how far the experiments are."""
    params:
        script=SCRIPTS / "status.py",
        arguments=lambda wildcards: config_arguments(),
    log:
        f"{RUNS}/logs/status.log",
    localrule: True
    conda:
        "envs/posggym.yaml"
    shell:
        "python {params.script:q} {params.arguments:q} 2>&1 | tee {log:q}"


rule check:
    """Derive every published file again, and say which differ."""
    input:
        published_results,
    params:
        script=SCRIPTS / "check_results.py",
        arguments=lambda wildcards: config_arguments(),
    threads: workflow.cores
    log:
        f"{RUNS}/logs/check.log",
    localrule: True
    conda:
        "envs/posggym.yaml"
    shell:
        "python {params.script:q} {params.arguments:q} --cores {threads} 2>&1"
        " | tee {log:q}"


rule help:
    """List what to ask for."""
    params:
        text=TARGETS,
    log:
        f"{RUNS}/logs/help.log",
    localrule: True
    conda:
        "envs/posggym.yaml"
    shell:
        "printf %s {params.text:q} | tee {log:q}"


# All rules are known from here on.
refuse_unknown_targets()
