"""Cross-play between the registered policies of each POSGGym environment."""


rule crossplay_env:
    """Play all policies of an environment with each other; resumes if interrupted."""
    input:
        specs=of_registry(rules.agent_spec.output[0]),
        tree=rules.registry.output[0].format(group=REGISTRY_GROUP),
    output:
        report(
            directory(f"{RESULTS}/crossplay/{{env}}"),
            patterns=["{arguments}/{file,index}.html"],
            caption="../workflow/report/crossplay.rst",
            category="Cross-play",
            subcategory="{env}",
        ),
    params:
        script=path_of("cross_play.py"),
        code=code_of("cross_play.py", *TEMPLATES),
        state=f"{RUNS}/crossplay/{{env}}",
        models=crossplay_models,
        episodes=EXPERIMENTS.crossplay_episodes,
        scale=EXPERIMENTS.scale,
        # Its pages link to it.
        index=lambda wildcards, output: Path(output[0]).parent.parent / "index.html",
    threads: 16
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    log:
        f"{RUNS}/crossplay/{{env}}/logs/crossplay.log",
    benchmark:
        f"{RUNS}/crossplay/{{env}}/benchmarks/crossplay.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --posggym_tree {input.tree:q} {params.models:q}"
        " --env {wildcards.env:q} --specs {input.specs:q} --episodes {params.episodes}"
        " --scale {params.scale:q}"
        " --workers {threads} --state {params.state:q} --output {output:q}"
        " --index {params.index:q} > {log:q} 2>&1"


rule crossplay:
    """Play the registered policies of each POSGGym environment with each other."""
    input:
        wanted_crossplay,
