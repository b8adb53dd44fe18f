"""A film of each agent, rendered without a display."""


rule film:
    """Film one of an agent's verified episodes."""
    input:
        spec=rules.agent_spec.output[0],
        verification=rules.verify.output[0],
        tree=group_of_experiment(rules.registry.output[0]),
    output:
        directory(f"{AGENT}/film"),
    params:
        script=path_of("film_agent.py"),
        code=code_of("film_agent.py"),
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    log:
        f"{AGENT}/logs/film.log",
    benchmark:
        f"{AGENT}/benchmarks/film.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --posggym_tree {input.tree:q} --spec {input.spec:q}"
        " --verification {input.verification:q} --output {output:q} > {log:q} 2>&1"
