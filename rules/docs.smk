"""POSGGym's documentation pages of agents."""


rule docs:
    """Generate the pages of the environments that a group has agents for."""
    input:
        specs=of_group(rules.agent_spec.output[0]),
        tree=rules.registry.output[0],
    output:
        directory(f"{STAGED}/docs"),
    params:
        script=path_of("generate_docs.py"),
        code=code_of("generate_docs.py"),
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    log:
        f"{STAGED}/logs/docs.log",
    benchmark:
        f"{STAGED}/benchmarks/docs.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --posggym_tree {input.tree:q} --specs {input.specs:q}"
        " --output {output:q} > {log:q} 2>&1"


rule docs_all:
    """Generate the pages of all environments with agents."""
    input:
        tree=rules.registry.output[0].format(group=REGISTRY_GROUP),
    output:
        directory(f"{RESULTS}/docs_all"),
    params:
        script=path_of("generate_docs.py"),
        code=code_of("generate_docs.py"),
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    log:
        f"{RUNS}/{REGISTRY_GROUP}/logs/docs_all.log",
    benchmark:
        f"{RUNS}/{REGISTRY_GROUP}/benchmarks/docs_all.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --posggym_tree {input.tree:q} --all"
        " --output {output:q} > {log:q} 2>&1"
