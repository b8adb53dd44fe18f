"""Train agents by evolution strategies and register them in POSGGym."""


include: "rules/workflow.smk"


rule register_all:
    """Train, register, verify and document the agents of all experiments."""
    default_target: True
    input:
        all_results(),
