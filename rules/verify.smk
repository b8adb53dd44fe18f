"""Verification: agents are created by id from the staged tree, in a fresh process."""


rule verify:
    """Play full episodes with a registered agent; compare it with the trained policy."""
    input:
        spec=rules.agent_spec.output[0],
        policy=rules.extract.output,
        siblings=sibling_specs,
        tree=group_of_experiment(rules.registry.output[0]),
    output:
        f"{AGENT}/verification.json",
    params:
        script=path_of("verify_agent.py"),
        code=code_of("verify_agent.py"),
        policy_dir=lambda wildcards, input: Path(input.policy[0]).parent,
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    log:
        f"{AGENT}/logs/verify.log",
    benchmark:
        f"{AGENT}/benchmarks/verify.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --posggym_tree {input.tree:q} --spec {input.spec:q}"
        " --siblings {input.siblings:q} --policy_dir {params.policy_dir:q} --output {output:q} > {log:q} 2>&1"


rule verify_registry:
    """Check that all agents play the same from the common tree as when verified."""
    input:
        specs=of_registry(rules.agent_spec.output[0]),
        verifications=of_registry(rules.verify.output[0]),
        tree=rules.registry.output[0].format(group=REGISTRY_GROUP),
    output:
        f"{RUNS}/{REGISTRY_GROUP}/verification.json",
    params:
        script=path_of("verify_registry.py"),
        code=code_of("verify_registry.py"),
    localrule: True
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    log:
        f"{RUNS}/{REGISTRY_GROUP}/logs/verify_registry.log",
    benchmark:
        f"{RUNS}/{REGISTRY_GROUP}/benchmarks/verify_registry.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --posggym_tree {input.tree:q} --specs {input.specs:q}"
        " --verifications {input.verifications:q} --output {output:q} > {log:q} 2>&1"
