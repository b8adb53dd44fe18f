"""Extraction of a run's policy to a safe format."""


rule extract:
    """Select a checkpoint; write its weights as safetensors and the rest as JSON."""
    input:
        begins_chain,
        source=policy_source,
        beside=files_beside,
    output:
        f"{AGENT}/extracted/policy.safetensors",
        f"{AGENT}/extracted/policy.json",
    params:
        script=path_of("extract_checkpoint.py"),
        code=code_of("extract_checkpoint.py"),
        folder=lambda wildcards, output: Path(output[0]).parent,
        checkpoint=lambda wildcards: experiment_of(wildcards).settings.chosen_checkpoint,
        role=role_argument,
        env_modules=env_module_arguments,
        agent=agent_arguments,
        episodes=lambda wildcards: experiment_of(wildcards).settings.verify_episodes,
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    log:
        f"{AGENT}/logs/extract.log",
    benchmark:
        f"{AGENT}/benchmarks/extract.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --source {input.source:q} --checkpoint {params.checkpoint:q}"
        " {params.role:q} {params.env_modules:q} {params.agent:q}"
        " --episodes {params.episodes} --output_dir {params.folder:q} > {log:q} 2>&1"
