"""The zoo: agents that come with the repository and the installed package."""


rule zoo_experiment:
    """Copy the agents of an experiment into the zoo."""
    input:
        f"{RESULTS}/{{experiment}}",
    output:
        directory(f"{ZOO}/{{env}}/{{experiment}}"),
    params:
        script=path_of("collect_zoo.py"),
        code=code_of("collect_zoo.py"),
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    log:
        f"{RUNS}/{{experiment}}/logs/zoo_{{env}}.log",
    benchmark:
        f"{RUNS}/{{experiment}}/benchmarks/zoo_{{env}}.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --results {input:q} --output {output:q} > {log:q} 2>&1"


rule zoo:
    """Train and collect the selected experiments that the zoo lacks; write its page."""
    input:
        missing_in_zoo,
    params:
        script=path_of("write_zoo_page.py"),
        comparison=path_of("compare_zoo.py"),
        zoo=ZOO,
        models=crossplay_models,
        episodes=EXPERIMENTS.crossplay_episodes,
        state=f"{RUNS}/zoo",
    threads: workflow.cores
    resources:
        mem_mb=8000,
        runtime=120,
    log:
        f"{RUNS}/logs/zoo.log",
    conda:
        "../envs/posggym.yaml"
    shell:
        "(python {params.comparison:q} --zoo {params.zoo:q} {params.models:q}"
        " --episodes {params.episodes} --workers {threads} --state {params.state:q}"
        " && python {params.script:q} --zoo {params.zoo:q} --output docs/zoo.md) 2>&1"
        " | tee {log:q}"


rule zoo_check:
    """Derive the zoo's policy files again, and replay some verified episodes."""
    params:
        script=path_of("check_zoo.py"),
        zoo=ZOO,
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    log:
        f"{RUNS}/logs/zoo_check.log",
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --zoo {params.zoo:q} 2>&1 | tee {log:q}"


use rule register_in_repositories as register_zoo with:
    input:
        needs_repositories,
        specs=lambda wildcards: [folder / SPEC_FILE for folder in zoo_agents()],
        policies=lambda wildcards: [*map(policy_file_of, zoo_agents())],
    output:
        f"{RUNS}/zoo/registered.json",
    log:
        f"{RUNS}/zoo/logs/register_zoo.log",
    benchmark:
        f"{RUNS}/zoo/benchmarks/register_zoo.tsv"


use rule publish as publish_zoo with:
    input:
        rules.register_zoo.output,
    log:
        f"{RUNS}/zoo/logs/publish_zoo.log",
