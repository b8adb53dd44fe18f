"""Results: one output folder per experiment, written by the last step."""


rule results:
    """Collect the results of an experiment in results/<experiment>."""
    input:
        specs=of_experiment(rules.agent_spec.output[0]),
        verifications=of_experiment(rules.verify.output[0]),
        conversions=of_experiment(rules.convert.output.report),
        trained=trained_metrics,
        films=of_experiment(rules.film.output[0]) if CONFIG.films else [],
        tree=group_of_experiment(rules.registry.output[0]),
        models=group_of_experiment(rules.stage.output.models),
        docs=group_of_experiment(rules.docs.output[0]),
    output:
        report(
            directory(f"{RESULTS}/{{experiment}}"),
            # Snakemake requires wildcards in patterns.
            patterns=["{file,index}.html", "{file,learning_curve}.png"],
            caption="../workflow/report/experiment.rst",
            category="Experiments",
            subcategory="{experiment}",
        ),
    params:
        script=path_of("collect_results.py"),
        code=code_of("collect_results.py", *TEMPLATES),
        config=experiment_settings,
        agent_dirs=of_experiment(AGENT),
        films="--films" if CONFIG.films else "",
        run_dirs=lambda wildcards, input: [Path(path).parent for path in input.trained],
        staged=lambda wildcards, input: Path(input.tree).parent,
        # The experiment's page links to it.
        index=lambda wildcards, output: Path(output[0]).parent / "index.html",
    localrule: True
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    log:
        f"{RUNS}/{{experiment}}/logs/results.log",
    benchmark:
        f"{RUNS}/{{experiment}}/benchmarks/results.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --experiment {wildcards.experiment:q}"
        " --config {params.config:q} --agent_dirs {params.agent_dirs:q}"
        " --run_dirs {params.run_dirs:q} {params.films}"
        " --staged {params.staged:q} --output {output:q} --index {params.index:q}"
        " > {log:q} 2>&1"


rule results_registry:
    """Collect the tree, models and docs of all agents together in results/registry."""
    input:
        specs=of_registry(rules.agent_spec.output[0]),
        verification=rules.verify_registry.output[0],
        tree=rules.registry.output[0].format(group=REGISTRY_GROUP),
        models=rules.stage.output.models.format(group=REGISTRY_GROUP),
        docs=rules.docs.output[0].format(group=REGISTRY_GROUP),
    output:
        directory(f"{RESULTS}/{REGISTRY_GROUP}"),
    params:
        script=path_of("collect_results.py"),
        code=code_of("collect_results.py", *TEMPLATES),
        staged=lambda wildcards, input: Path(input.tree).parent,
        scale=EXPERIMENTS.scale,
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    log:
        f"{RUNS}/{REGISTRY_GROUP}/logs/results_registry.log",
    benchmark:
        f"{RUNS}/{REGISTRY_GROUP}/benchmarks/results_registry.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --registry {input.verification:q}"
        " --specs {input.specs:q} --staged {params.staged:q} --scale {params.scale:q}"
        " --output {output:q} > {log:q} 2>&1"


rule results_index:
    """Write the page of all experiments in the results folder."""
    input:
        expand(f"{RESULTS}/{{experiment}}", experiment=EXPERIMENTS.selected),
        [] if CONFIG.crossplay is None else crossplay_folders(),
    output:
        report(
            f"{RESULTS}/index.html",
            caption="../workflow/report/index.rst",
            category="Overview",
        ),
    params:
        script=path_of("make_index.py"),
        code=code_of("make_index.py", *TEMPLATES),
        results=lambda wildcards, output: Path(output[0]).parent,
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    log:
        f"{RUNS}/{REGISTRY_GROUP}/logs/results_index.log",
    benchmark:
        f"{RUNS}/{REGISTRY_GROUP}/benchmarks/results_index.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --results {params.results:q} --output {output:q}"
        " > {log:q} 2>&1"
