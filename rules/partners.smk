"""Partners that have to be trained before a run, or weighted for it."""


rule partners:
    """Name the policies that a run trains against, with their weights."""
    input:
        partner_policies,
    output:
        f"{RUN}/{PARTNERS_FILE}",
    params:
        script=path_of("choose_partners.py"),
        code=code_of("choose_partners.py"),
        arguments=partner_arguments,
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    log:
        f"{RUN}/logs/partners.log",
    benchmark:
        f"{RUN}/benchmarks/partners.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} {params.arguments:q} --output {output:q} > {log:q} 2>&1"
