"""Targets without output files: help, status, and a check of the results."""


rule status:
    """Show the progress of the experiments."""
    params:
        script=path_of("status.py"),
        arguments=lambda wildcards: config_arguments(),
    log:
        f"{RUNS}/logs/status.log",
    localrule: True
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} {params.arguments:q} 2>&1 | tee {log:q}"


rule check:
    """Regenerate all published files, and list those that differ."""
    input:
        published_results,
    params:
        script=path_of("check_results.py"),
        arguments=lambda wildcards: config_arguments(),
    threads: workflow.cores
    log:
        f"{RUNS}/logs/check.log",
    localrule: True
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} {params.arguments:q} --cores {threads} 2>&1"
        " | tee {log:q}"


rule help:
    """List the targets."""
    params:
        text=TARGETS,
    log:
        f"{RUNS}/logs/help.log",
    localrule: True
    conda:
        "../envs/posggym.yaml"
    shell:
        "printf %s {params.text:q} | tee {log:q}"


# If this workflow is used as a module, the other workflow defines the targets.
if not AS_MODULE:
    refuse_unknown_targets()
