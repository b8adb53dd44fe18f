#!/usr/bin/env bash
# Humanoid-v2 (today Humanoid-v4) as in the ClipUp paper (arXiv 2008.02387).
# Arguments are passed on: `./train_humanoid.sh print_config`, `./train_humanoid.sh -F results`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/paper_config.sh"

paper=(
    env_name=Humanoid-v2
    hidden='[]'
    niters=1000
    popsize=200
    popsize_max=3200
    num_interactions=150000
    max_speed=0.015
    radius=0.27
    decrease_rewards_by=5.0
)
run_train "$@"
