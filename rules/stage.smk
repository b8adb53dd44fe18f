"""Specs of agents, and policy files at the paths that POSGGym uses."""


rule agent_spec:
    """Write the spec of an agent: its id, paths, processors and description."""
    input:
        policy=rules.extract.output,
        converted=rules.convert.output.report,
    output:
        f"{AGENT}/spec.json",
    params:
        script=path_of("make_agent_spec.py"),
        code=code_of("make_agent_spec.py"),
        policy_dir=lambda wildcards, input: Path(input.policy[0]).parent,
        converted_dir=lambda wildcards, input: Path(input.converted).parent,
        settings=registration_settings,
        env_modules=env_module_arguments,
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    log:
        f"{AGENT}/logs/agent_spec.log",
    benchmark:
        f"{AGENT}/benchmarks/agent_spec.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --policy_dir {params.policy_dir:q}"
        " --converted_dir {params.converted_dir:q} --settings {params.settings:q}"
        " --output {output:q} {params.env_modules:q} > {log:q} 2>&1"


rule stage:
    """Copy the policy files of a group to a models tree and an assets tree."""
    input:
        specs=of_group(rules.agent_spec.output[0]),
        policies=of_group(rules.convert.output.policy),
    output:
        models=directory(f"{STAGED}/posggym-agent-models"),
        assets=directory(f"{STAGED}/assets"),
    params:
        script=path_of("stage_agents.py"),
        code=code_of("stage_agents.py"),
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    log:
        f"{STAGED}/logs/stage.log",
    benchmark:
        f"{STAGED}/benchmarks/stage.tsv"
    conda:
        "../envs/posggym.yaml"
    shell:
        "python {params.script:q} --specs {input.specs:q} --policies {input.policies:q}"
        " --models_root {output.models:q} --assets_root {output.assets:q}"
        " > {log:q} 2>&1"
