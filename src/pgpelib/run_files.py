"""What a run folder holds."""

from __future__ import annotations

RUN_FILE = "run.json"
LOCK_FILE = "lock"
STATE_FILE = "state.npz"
METRICS_FILE = "metrics.csv"
POLICIES_FOLDER = "policies"

METRIC_COLUMNS = [
    "generation",
    "role",
    "pop_median",
    "pop_mean",
    "pop_min",
    "pop_max",
    "pop_q25",
    "pop_q75",
    "popsize",
    "pop_failed",
    "pop_timesteps",
    "timesteps",
    "pop_elapsed",
    "elapsed",
    "steps_per_second",
    "stdev_min",
    "stdev_max",
    "stdev_mean",
    "re_eval_mean",
    "re_eval_median",
    "re_eval_min",
    "re_eval_max",
    "re_eval_stdev",
]
