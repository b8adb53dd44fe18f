#!/usr/bin/env bash
# LunarLanderContinuous-v2 as in the ClipUp paper (arXiv 2008.02387).
# Arguments are passed on: `./train_lunarlandercontinuous.sh print_config`, `./train_lunarlandercontinuous.sh -F results`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/paper_config.sh"

paper=(
    env_name=LunarLanderContinuous-v2
    hidden='[]'
    obs_norm=False
    niters=50
    popsize=200
    popsize_max=-1
    num_interactions=-1
    max_speed=0.3
)
run_train "$@"
