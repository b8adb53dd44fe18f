"""Conversion to POSGGym's policy format, including its proof."""


rule convert:
    """Convert a policy losslessly, and compare it with the trained one on rollouts."""
    input:
        rules.extract.output,
    output:
        policy=f"{AGENT}/converted/policy.pkl",
        report=f"{AGENT}/converted/conversion.json",
    params:
        script=path_of("save_to_posggym_format.py"),
        code=code_of("save_to_posggym_format.py"),
        source=lambda wildcards, input: Path(input[0]).parent,
        folder=lambda wildcards, output: Path(output.policy).parent,
        action_processor=action_processor,
        env_modules=env_module_arguments,
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    log:
        f"{AGENT}/logs/convert.log",
    benchmark:
        f"{AGENT}/benchmarks/convert.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --checkpoint_dir {params.source:q}"
        " --output_dir {params.folder:q} {params.action_processor:q} {params.env_modules:q}"
        " > {log:q} 2>&1"
