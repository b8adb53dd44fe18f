"""The policy of another experiment that the search of a run starts from."""


rule starting_policy:
    """Choose the saved policy that a run starts from."""
    input:
        lambda wildcards: f"{start_of(wildcards).run_dir}/policies",
    output:
        f"{RUN}/{START_FILE}",
    params:
        script=path_of("choose_starting_policy.py"),
        code=code_of("choose_starting_policy.py"),
        arguments=start_arguments,
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    log:
        f"{RUN}/logs/starting_policy.log",
    benchmark:
        f"{RUN}/benchmarks/starting_policy.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} {input:q} {params.arguments:q} --output {output:q} > {log:q} 2>&1"
