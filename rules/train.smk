"""ES training, one job per run.

The state of a run is in `run-<digest>/`. This is not a declared output, because
Snakemake deletes the outputs of failed jobs, and training must be able to resume. The
digest identifies the configuration, so a run resumes only with the same configuration.
"""


rule train:
    """Train a policy with PGPE; resumes an interrupted run."""
    input:
        begins_chain,
        partners=partners_file,
        init_policy=init_policy_file,
    output:
        policies=directory(f"{RUN}/policies"),
        metrics=f"{RUN}/metrics.csv",
    params:
        script=path_of("train.py"),
        run_dir=run_dir,
        sacred_dir=f"{RUN}/sacred",
        database=[] if CONFIG.mongo_db is None else ["-m", CONFIG.mongo_db],
        settings=training_settings,
        tensorboard=CONFIG.tensorboard,
    threads: training_resource("threads")
    resources:
        mem_mb=training_memory,
        runtime=training_resource("runtime"),
        nodes=several_nodes("nodes"),
        tasks=several_nodes("tasks"),
        mpi=several_nodes("mpi"),
    log:
        f"{RUN}/logs/train.log",
    benchmark:
        f"{RUN}/benchmarks/train.tsv"
    conda:
        "../envs/train.yaml"
    shell:
        # The trainer ends by itself, and its last words are logged as well. The short
        # logger shows the log.
        "trap : TERM;"
        " python {params.script:q} -F {params.sacred_dir:q} {params.database:q} with {params.settings:q}"
        " num_cpus={threads} run_dir={params.run_dir:q}"
        " tensorboard={params.tensorboard} 2>&1"
        " | (trap '' INT TERM;"
        ' if [ -n "${{POSGGYM_ES_SHORT:-}}" ]; then exec cat > {log:q}; fi; exec tee {log:q})'
        " && mkdir -p {output.policies:q}"
        " && cp -r {params.run_dir:q}/policies/* {output.policies:q}"
        " && cp {params.run_dir:q}/metrics.csv {output.metrics:q}"
