#!/usr/bin/env bash
# Walker2d-v2 (today Walker2d-v4) as in the ClipUp paper (arXiv 2008.02387).
# Arguments are passed on: `./train_walker2d.sh print_config`, `./train_walker2d.sh -F results`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/paper_config.sh"

paper=(
    env_name=Walker2d-v2
    hidden='[]'
    niters=500
    popsize=100
    popsize_max=800
    num_interactions=75000
    max_speed=0.015
    radius=0.225
    decrease_rewards_by=1.0
)
run_train "$@"
