"""Real repositories: registering agents on a branch, publishing and removing them.

`publish` and `unregister` run whenever they are requested. They have no benchmark,
because Snakemake treats it as an output.
"""


rule register_in_repositories:
    """Register all agents on a branch of the pipeline's own clones."""
    input:
        needs_repositories,
        specs=of_registry(rules.agent_spec.output[0]),
        policies=of_registry(rules.convert.output.policy),
        verified=rules.verify_registry.output[0],
    output:
        f"{RUNS}/{REGISTRY_GROUP}/registered.json",
    params:
        script=path_of("register_in_repositories.py"),
        code=code_of("register_in_repositories.py"),
        repositories=REPOSITORY_ARGUMENTS,
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    log:
        f"{RUNS}/{REGISTRY_GROUP}/logs/register_in_repositories.log",
    benchmark:
        f"{RUNS}/{REGISTRY_GROUP}/benchmarks/register_in_repositories.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} {params.repositories:q} --specs {input.specs:q}"
        " --policies {input.policies:q} --output {output:q} > {log:q} 2>&1"


rule publish:
    """Push the branches, and check the published agents; only on request."""
    input:
        full_scale,
        rules.register_in_repositories.output,
    params:
        script=path_of("publish.py"),
        repositories=REPOSITORY_ARGUMENTS,
        url=(
            []
            if CONFIG.agent_models_url is None
            else [f"--agent_models_url={CONFIG.agent_models_url}"]
        ),
    localrule: True
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    log:
        f"{RUNS}/{REGISTRY_GROUP}/logs/publish.log",
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} {params.repositories:q} {params.url:q}"
        " 2>&1 | tee {log:q}"


rule unregister:
    """Remove the agent given by --config policy=ID from both repositories."""
    input:
        needs_repositories,
    params:
        script=path_of("unregister.py"),
        repositories=REPOSITORY_ARGUMENTS,
        policy=policy_to_remove,
    localrule: True
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    log:
        f"{RUNS}/{REGISTRY_GROUP}/logs/unregister.log",
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} {params.repositories:q} --policy {params.policy:q}"
        " 2>&1 | tee {log:q}"
