"""Generated registration code, in a staged copy of the installed posggym."""


rule registry:
    """Create a posggym tree in which the agents of a group are registered."""
    input:
        specs=of_group(rules.agent_spec.output[0]),
        assets=rules.stage.output.assets,
        policies=of_group(rules.extract.output[1]),
    output:
        directory(f"{STAGED}/posggym-tree"),
    params:
        script=path_of("generate_registry.py"),
        code=code_of("generate_registry.py"),
        policy_dirs=lambda wildcards, input: [Path(p).parent for p in input.policies],
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    log:
        f"{STAGED}/logs/registry.log",
    benchmark:
        f"{STAGED}/benchmarks/registry.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --specs {input.specs:q} --assets_root {input.assets:q}"
        " --policy_dirs {params.policy_dirs:q} --output {output:q} > {log:q} 2>&1"
