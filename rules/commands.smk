"""Targets that make no files: what to ask for, how far it is, and whether it holds."""


rule status:
    """Show how far the experiments are."""
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
    """Derive every published file again, and say which differ."""
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
    """List what to ask for."""
    params:
        text=TARGETS,
    log:
        f"{RUNS}/logs/help.log",
    localrule: True
    conda:
        "../envs/posggym.yaml"
    shell:
        "printf %s {params.text:q} | tee {log:q}"


# As a module, the targets are another workflow's.
if not AS_MODULE:
    refuse_unknown_targets()
